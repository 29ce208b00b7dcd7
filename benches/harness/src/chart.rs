//! The chart: for each figure of which something is demanded, bars for conmon, conward and the limit.
//!
//! Bars say how much better a figure is than conmon's, so longer is always better, and conmon's end where the
//! line is. Where conmon has no such figure the line is the target. Colours are of middle brightness, to be
//! read on white and on dark.

use std::fmt::Write;

use crate::report::number;
use crate::series::{Better, Series, Target, Who};

/// Widths in pixels: of the names, of a bar as long as conmon's, of the longest bar, and of the values.
const NAMES: f64 = 400.0;
const ONE: f64 = 90.0;
const LONGEST: f64 = 4.0 * ONE;
const VALUES: f64 = 90.0;

/// Heights in pixels: of a bar with the space below, of the space between figures, of the legend.
const BAR: f64 = 11.0;
const GAP: f64 = 9.0;
const LEGEND: f64 = 34.0;

const TEXT: &str = "#767d86";

/// Who, in the order of the bars, with name and colour.
const BARS: [(Who, &str, &str); 3] = [
    (Who::Reference, "conmon", "#8c959f"),
    (Who::Ours, "conward", "#2da44e"),
    (Who::Limit, "limit", "#bf8700"),
];

/// The whole picture.
pub fn draw(all: &[Series]) -> String {
    let shown: Vec<(&Series, f64)> = all.iter().filter_map(|series| Some((series, base(series)?))).collect();
    let mut body = String::new();
    legend(&mut body);
    let mut top = LEGEND;
    for (series, base) in &shown {
        top = figure(&mut body, series, *base, top);
    }
    let width = NAMES + LONGEST + VALUES;
    let mut svg = String::new();
    line(
        &mut svg,
        format_args!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {top}\" width=\"{width}\" height=\"{top}\" \
         font-family=\"sans-serif\" font-size=\"11\" fill=\"{TEXT}\">"
        ),
    );
    line(&mut svg, format_args!("<title>conmon, conward and the limit: longer is better</title>"));
    let (x, bottom) = (NAMES + ONE, top - GAP);
    line(
        &mut svg,
        format_args!("<path d=\"M{x} {LEGEND}V{bottom}\" stroke=\"{TEXT}\" stroke-dasharray=\"2 3\"/>"),
    );
    svg.push_str(&body);
    line(&mut svg, format_args!("</svg>"));
    svg
}

/// The value that a bar of length 1 stands for: conmon's, or the target. None if nothing can be shown.
fn base(series: &Series) -> Option<f64> {
    series.median(Who::Ours)?;
    let target = match series.targets.first()? {
        Target::AtMost(bound) | Target::AtLeast(bound) => Some(*bound),
        Target::TimesAtMost(_) | Target::TimesAtLeast(_) | Target::OfLimit(_) => None,
    };
    series.median(Who::Reference).or(target).filter(|base| *base > 0.0)
}

fn legend(to: &mut String) {
    let mut x = NAMES;
    for (_, name, colour) in BARS {
        line(to, format_args!("<rect x=\"{x}\" y=\"9\" width=\"12\" height=\"8\" fill=\"{colour}\"/>"));
        line(to, format_args!("<text x=\"{}\" y=\"17\">{name}</text>", x + 17.0));
        x += 85.0;
    }
    line(to, format_args!("<text x=\"{x}\" y=\"17\">longer is better</text>"));
}

/// Draws one figure; gives where the next one begins.
fn figure(to: &mut String, series: &Series, base: f64, mut top: f64) -> f64 {
    let mark = match series.is_met() {
        Some(true) => " ✓",
        Some(false) => " ✗",
        None => "",
    };
    let bars: Vec<_> = BARS.iter().filter_map(|bar| Some((bar, series.median(bar.0)?))).collect();
    let middle = top + bars.len() as f64 * BAR / 2.0 + 3.0;
    let (x, name) = (NAMES - 10.0, escaped(&series.name));
    line(to, format_args!("<text x=\"{x}\" y=\"{middle}\" text-anchor=\"end\">{name}{mark}</text>"));
    for ((_, _, colour), value) in bars {
        let better = match series.better {
            Better::More => value / base,
            Better::Less if value > 0.0 => base / value,
            Better::Less => f64::INFINITY,
        };
        // One that does not fit ends in an arrow.
        let long = (better * ONE).clamp(1.0, LONGEST).round();
        let (end, half, low) = (NAMES + long, top + BAR / 2.0 - 1.0, top + BAR - 2.0);
        let tip = if better * ONE > LONGEST { format!("L{} {half}", end + 6.0) } else { String::new() };
        line(
            to,
            format_args!("<path d=\"M{NAMES} {top}H{end}{tip}L{end} {low}H{NAMES}z\" fill=\"{colour}\"/>"),
        );
        let (x, y, value) = (end + 10.0, low, number(value));
        line(to, format_args!("<text x=\"{x}\" y=\"{y}\" font-size=\"10\">{value} {}</text>", series.unit));
        top += BAR;
    }
    top + GAP
}

fn line(to: &mut String, text: std::fmt::Arguments) {
    // Writing to a String does not fail.
    let _ = writeln!(to, "{text}");
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('`', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(better: Better, target: Target, values: [f64; 3]) -> Series {
        let mut series = Series::new("a < b", "ms", better).target(target);
        for (who, value) in Who::ALL.into_iter().zip(values) {
            if value >= 0.0 {
                series.push(who, value);
            }
        }
        series
    }

    #[test]
    fn longer_is_better() {
        let half = draw(&[series(Better::Less, Target::TimesAtMost(0.5), [1.0, 2.0, -1.0])]);
        assert!(half.contains(&format!("H{}L", NAMES + 2.0 * ONE)), "{half}");
        assert!(half.contains(&format!("H{}L", NAMES + ONE)), "{half}");
        assert!(half.contains("a &lt; b ✓"), "{half}");
        assert_eq!(half.matches("<path").count(), 3, "no limit, and the line");
        let alone = draw(&[series(Better::More, Target::AtLeast(2.0), [1.0, -1.0, 900.0])]);
        assert!(alone.contains(&format!("H{}L", NAMES + ONE / 2.0)) && alone.contains(" ✗"), "{alone}");
        assert!(alone.contains(&format!("H{}L{}", NAMES + LONGEST, NAMES + LONGEST + 6.0)), "{alone}");
    }

    #[test]
    fn what_cannot_be_compared_is_left_out() {
        let table = [
            series(Better::Less, Target::AtMost(0.0), [0.0, 0.0, -1.0]),
            series(Better::Less, Target::TimesAtMost(1.0), [1.0, -1.0, 1.0]),
            Series::new("x", "", Better::More),
        ];
        for series in table {
            assert!(!draw(&[series]).contains("text-anchor"));
        }
    }
}
