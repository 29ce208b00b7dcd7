//! A table, for tbl(1).

use crate::text::{bare, inline, wrapped};

/// Columns of a page on a terminal of 80, without the indentation of its text.
const WIDTH: usize = 70;
/// Columns between two of the table.
const GAP: usize = 2;
/// Columns that a cell has before it is broken into lines, except the last of its row.
const NATURAL: usize = 22;

/// A table of Markdown: headings, a rule, rows.
pub fn table(rows: &[&str]) -> String {
    let mut rows: Vec<Vec<&str>> = rows.iter().map(|row| cells(row)).collect();
    rows.remove(1);
    let widths = widths(&rows);
    let columns = |kind: &str| -> String {
        let of = |width: &Option<usize>| match width {
            Some(width) => format!("{kind}w({width}n)"),
            None => kind.to_owned(),
        };
        widths.iter().map(of).collect::<Vec<_>>().join(&format!("{GAP} "))
    };
    let mut out = format!(".TS\n{}\n{}.\n", columns("lB"), columns("l"));
    for row in rows {
        out.push_str(&line(&row, &widths));
    }
    out.push_str(".TE\n");
    out
}

fn cells(row: &str) -> Vec<&str> {
    let inner = row.strip_prefix('|').and_then(|row| row.strip_suffix('|')).expect("a row");
    inner.split('|').map(str::trim).collect()
}

/// Which columns get lines of how many characters. The widest gets what the others leave.
fn widths(rows: &[Vec<&str>]) -> Vec<Option<usize>> {
    let longest = |column: usize| rows.iter().map(|row| bare(row[column]).len()).max().unwrap_or_default();
    let natural: Vec<usize> = (0..rows[0].len()).map(longest).collect();
    let gaps = GAP * (natural.len() - 1);
    if natural.iter().sum::<usize>() + gaps <= WIDTH {
        return vec![None; natural.len()];
    }
    let widest = (0..natural.len()).max_by_key(|&column| natural[column]).expect("a column");
    let others = natural.iter().enumerate().filter(|(column, _)| *column != widest);
    let rest = WIDTH - gaps - others.map(|(_, width)| width.min(&NATURAL)).sum::<usize>();
    let width = |column| match natural[column] {
        _ if column == widest => Some(rest),
        wide if wide > NATURAL => Some(NATURAL),
        _ => None,
    };
    (0..natural.len()).map(width).collect()
}

fn line(row: &[&str], widths: &[Option<usize>]) -> String {
    let cells = row.iter().zip(widths).map(|(cell, width)| match width {
        Some(width) if bare(cell).len() > *width => format!("T{{\n{}T}}", wrapped(&inline(cell))),
        _ => wrapped(&inline(cell)).trim_end_matches('\n').replace('\n', " "),
    });
    cells.collect::<Vec<_>>().join("\t") + "\n"
}

#[cfg(test)]
mod tests {
    use super::table;

    #[test]
    fn narrow_and_wide() {
        let narrow = ".TS\nlB2 lB\nl2 l.\na\tb\n\\fBc\\fR\t\n.TE\n";
        assert_eq!(table(&["| a | b |", "|---|---|", "| `c` | |"]), narrow);
        let long = "word ".repeat(20);
        let wide = table(&["| a | b |", "|---|---|", &format!("| c | {long}|")]);
        assert!(wide.starts_with(".TS\nlB2 lBw(67n)\nl2 lw(67n).\na\tb\nc\tT{\nword "), "{wide}");
        assert!(wide.ends_with("word\nT}\n.TE\n"), "{wide}");
    }
}
