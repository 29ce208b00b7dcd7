//! The figures as Markdown on stdout, as a chart, and every single number as JSON in a file.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::series::{Better, Series, Target, Who};
use crate::{Bench, Result, chart, doing};

/// Prints the table; keeps the raw numbers and draws the chart, unless the run was a quick one.
pub fn print(bench: &Bench, all: &[Series]) -> Result<()> {
    let (ours, reference) = (version(&bench.args.ours)?, version(&bench.args.reference)?);
    println!(
        "Conward: {ours}. Conmon: {reference}. Medians, with quartiles where they differ. The ratio is conward"
    );
    println!("over conmon; the share is how much of the limit conward reaches, 1 is all that can be had.\n");
    println!("| figure | unit | conmon | conward | ratio | target | limit | share | met |");
    println!("|---|---|---:|---:|---:|---|---:|---:|---|");
    for series in all {
        println!("{}", row(series));
    }
    println!("\nWhat the limits are:\n");
    let mut said: Vec<&str> = Vec::new();
    for series in all.iter().filter(|series| !series.limit.is_empty()) {
        if !said.contains(&series.limit.as_str()) {
            println!("- {}: {}", series.name, series.limit);
            said.push(&series.limit);
        }
    }
    if bench.args.quick {
        println!("\nA quick run: the numbers mean nothing.");
        return Ok(());
    }
    if bench.args.only.is_none() {
        let path = &bench.args.chart;
        fs::write(path, chart::draw(all)).map_err(doing(format!("write {}", path.display())))?;
        println!("\nChart: {}", path.display());
    }
    keep(bench, all, &ours, &reference)
}

fn row(series: &Series) -> String {
    let two = |number: Option<f64>| number.map_or("–".into(), |number| format!("{number:.2}"));
    let [ours, reference, limit] = Who::ALL.map(|who| cell(series, who));
    let targets: Vec<String> = series.targets.iter().map(|target| told(target, series.unit)).collect();
    let target = if targets.is_empty() { "–".into() } else { targets.join(", ") };
    let met = match series.is_met() {
        Some(true) => "yes",
        Some(false) => "**no**",
        None => "–",
    };
    let (ratio, share) = (two(series.ratio()), two(series.share()));
    format!(
        "| {} | {} | {reference} | {ours} | {ratio} | {target} | {limit} | {share} | {met} |",
        series.name, series.unit
    )
}

fn told(target: &Target, unit: &str) -> String {
    match target {
        Target::AtMost(bound) => format!("≤ {} {unit}", number(*bound)).trim_end().to_owned(),
        Target::AtLeast(bound) => format!("≥ {} {unit}", number(*bound)).trim_end().to_owned(),
        Target::TimesAtMost(bound) => format!("≤ {bound}×"),
        Target::TimesAtLeast(bound) => format!("≥ {bound}×"),
        Target::OfLimit(bound) => format!("≥ {bound} of the limit"),
    }
}

/// Writes the raw numbers to `<out>/<date>-<label>.json`, with the groups in the name if not all were measured; a
/// later run of the day replaces them.
fn keep(bench: &Bench, all: &[Series], ours: &str, reference: &str) -> Result<()> {
    let date = first_line(Command::new("date").args(["-u", "+%F"]))?;
    let some =
        bench.args.only.as_ref().map_or_else(String::new, |only| format!("-{}", only.replace(',', "-")));
    let path = bench.args.out.join(format!("{date}-{}{some}.json", bench.args.label));
    let figures: Vec<String> = all.iter().map(|series| raw(series).to_string()).collect();
    let label = &bench.args.label;
    let head = json!({
        "date": date, "label": label, "machine": machine()?, "ours": ours, "reference": reference,
    });
    // One figure a line, so that two runs can be compared by eye.
    let text = format!("{{\"run\": {head},\n\"figures\": [\n{}\n]}}\n", figures.join(",\n"));
    fs::write(&path, text).map_err(doing(format!("write {}", path.display())))?;
    println!("\nRaw numbers: {}", path.display());
    Ok(())
}

fn raw(series: &Series) -> Value {
    // Four decimals are below the noise of every unit in use.
    let values = |who| -> Vec<f64> { series.values(who).iter().map(|v| (v * 1e4).round() / 1e4).collect() };
    json!({
        "name": series.name,
        "unit": series.unit,
        "better": if series.better == Better::Less { "less" } else { "more" },
        "limit_is": series.limit,
        "targets": series.targets.iter().map(|target| told(target, series.unit)).collect::<Vec<_>>(),
        "ours": values(Who::Ours),
        "reference": values(Who::Reference),
        "limit": values(Who::Limit),
    })
}

/// What a reader needs to judge the numbers, and nothing that tells machines apart.
fn machine() -> Result<Value> {
    let release =
        fs::read_to_string("/proc/sys/kernel/osrelease").map_err(doing("read the kernel's release"))?;
    let kernel: String = release.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    let cores = std::thread::available_parallelism().map_err(doing("count the cores"))?;
    Ok(json!({ "kernel": kernel, "arch": std::env::consts::ARCH, "cores": cores.get() }))
}

fn version(program: &Path) -> Result<String> {
    first_line(Command::new(program).arg("--version"))
}

fn first_line(command: &mut Command) -> Result<String> {
    let output = command.output().map_err(doing(format!("run {:?}", command.get_program())))?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

fn cell(series: &Series, who: Who) -> String {
    let Some([low, median, high]) = series.quartiles(who) else { return "–".into() };
    if low == high {
        number(median)
    } else {
        format!("{} ({}–{})", number(median), number(low), number(high))
    }
}

/// Three digits that count, and no more than the number has.
pub fn number(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 || v == v.trunc() => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        v if v >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_three_digits() {
        let cases =
            [(0.0, "0"), (7.0, "7"), (0.1234, "0.123"), (1.234, "1.23"), (12.34, "12.3"), (1234.4, "1234")];
        for (value, text) in cases {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn a_cell_shows_quartiles_where_they_differ() {
        let mut series = Series::new("x", "s", Better::Less);
        assert_eq!(cell(&series, Who::Ours), "–");
        series.push(Who::Ours, 2.0);
        assert_eq!(cell(&series, Who::Ours), "2");
        series.push(Who::Ours, 4.0);
        assert_eq!(cell(&series, Who::Ours), "3 (2.50–3.50)");
    }

    #[test]
    fn a_row_tells_all() {
        let mut series = Series::new("x", "s", Better::Less)
            .limit("a loop")
            .target(Target::TimesAtMost(0.5))
            .target(Target::OfLimit(0.85));
        for (who, value) in Who::ALL.into_iter().zip([1.0, 4.0, 0.5]) {
            series.push(who, value);
        }
        assert_eq!(
            row(&series),
            "| x | s | 4 | 1 | 0.25 | ≤ 0.5×, ≥ 0.85 of the limit | 0.500 | 0.50 | **no** |"
        );
        assert_eq!(row(&Series::new("y", "", Better::More)), "| y |  | – | – | – | – | – | – | – |");
    }
}
