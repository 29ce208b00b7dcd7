//! Standard output, and columns on it.

use std::io::{self, Write};

use conward_protocol::Timestamp;

use crate::error::Error;

/// Prints a line.
pub fn line(text: &str) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).map_err(|error| Error::output(&error))
}

/// Says something beside the output. Where even that cannot be written, nothing can be done.
pub fn complain(text: &str) {
    let _ = writeln!(io::stderr().lock(), "conwardctl: {text}");
}

/// Characters that a cut column keeps at least, its `…` among them.
const CUT_MIN: usize = 8;

/// Rows as wide as they must be. Where that is wider than `width`, the `cuttable` columns lose their ends,
/// each as far as it may before the next, and show that by `…`.
pub fn table(headings: &[&str], rows: &[Vec<String>], cuttable: &[usize], width: Option<usize>) -> String {
    const GAP: usize = 2;
    let mut widths: Vec<usize> = headings.iter().map(|heading| heading.len()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let all = |widths: &[usize]| widths.iter().sum::<usize>() + GAP * (widths.len().saturating_sub(1));
    for &column in cuttable {
        let excess = width.map_or(0, |limit| all(&widths).saturating_sub(limit));
        let least = headings[column].len().max(CUT_MIN).min(widths[column]);
        widths[column] = widths[column].saturating_sub(excess).max(least);
    }
    let headings: Vec<String> = headings.iter().map(|heading| (*heading).to_owned()).collect();
    let mut text = String::new();
    for row in std::iter::once(&headings).chain(rows) {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, &width)| fitted(cell, width)).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

fn fitted(cell: &str, width: usize) -> String {
    if cell.chars().count() <= width {
        return format!("{cell:<width$}");
    }
    cell.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// How long ago, in the largest unit that says something.
pub fn age(since: Timestamp, now: Timestamp) -> String {
    let seconds = (now.seconds() - since.seconds()).max(0);
    match seconds {
        0..=119 => format!("{seconds}s"),
        120..=7199 => format!("{}m", seconds / 60),
        7200..=172_799 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::{age, table};
    use conward_protocol::Timestamp;

    #[test]
    fn columns_are_cut_in_turn() {
        let rows =
            [vec!["short".to_owned(), "running".to_owned(), "/a/very/long/path/of/a/bundle".to_owned()]];
        let headings = ["ID", "STATE", "BUNDLE"];
        let whole = "ID     STATE    BUNDLE\nshort  running  /a/very/long/path/of/a/bundle\n";
        assert_eq!(table(&headings, &rows, &[2, 0], None), whole);
        assert_eq!(table(&headings, &rows, &[2, 0], Some(200)), whole);
        let cut = table(&headings, &rows, &[2, 0], Some(30));
        assert_eq!(cut, "ID     STATE    BUNDLE\nshort  running  /a/very/long/…\n");
        let cut =
            table(&["ID", "B"], &[vec!["0123456789abcdef".into(), "/a/very/long".into()]], &[1, 0], Some(20));
        assert_eq!(cut, "ID          B\n012345678…  /a/very…\n");
        // What cannot be cut further is printed all the same.
        assert!(table(&headings, &rows, &[2, 0], Some(5)).contains("/a/very…"));
    }

    #[test]
    fn ages() {
        let at = |seconds| Timestamp::new(seconds, 0);
        for (seconds, text) in [(-5, "0s"), (119, "119s"), (120, "2m"), (7200, "2h"), (172_800, "2d")] {
            assert_eq!(age(at(1000), at(1000 + seconds)), text);
        }
    }
}
