//! Columns of text, the last of them wrapped.

/// What stands before each line.
const INDENT: &str = "  ";
/// Between two columns.
const GAP: usize = 2;
/// A last column that is narrower than this is not wrapped: it would be a tower of words.
const WRAPPED_MIN: usize = 20;

/// A table that grows by rows.
pub(super) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Without titles.
    pub(super) const fn plain() -> Self {
        Self { rows: Vec::new() }
    }

    pub(super) fn titled<const N: usize>(titles: [&str; N]) -> Self {
        Self { rows: vec![titles.map(str::to_owned).to_vec()] }
    }

    /// As many cells as in the first row.
    pub(super) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.to_vec());
    }

    /// The lines, the last column wrapped at `width`.
    pub(super) fn render(&self, width: Option<usize>) -> String {
        let columns = self.rows.first().map_or(0, Vec::len);
        let widest = |column: usize| {
            self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default()
        };
        let widths: Vec<usize> = (0..columns.saturating_sub(1)).map(widest).collect();
        let before = INDENT.len() + widths.iter().map(|it| it + GAP).sum::<usize>();
        let room = width.map(|it| it.saturating_sub(before)).filter(|it| *it >= WRAPPED_MIN);
        let mut text = String::new();
        for row in &self.rows {
            let mut lead = INDENT.to_owned();
            let (last, cells) = row.split_last().expect("each row has cells");
            for (cell, width) in cells.iter().zip(&widths) {
                lead.push_str(cell);
                lead.extend(std::iter::repeat_n(' ', width + GAP - cell.chars().count()));
            }
            for (index, words) in wrap(last, room).iter().enumerate() {
                let lead = if index == 0 { lead.clone() } else { " ".repeat(before) };
                text.push_str(format!("{lead}{words}").trim_end());
                text.push('\n');
            }
        }
        text
    }
}

/// One text, wrapped and indented.
pub(super) fn paragraph(text: &str, width: Option<usize>) -> String {
    let mut table = Table::plain();
    table.row([text.to_owned()]);
    table.render(width)
}

/// Lines of at most `room` characters, if the words allow it. At least one.
fn wrap(text: &str, room: Option<usize>) -> Vec<String> {
    let mut lines = vec![String::new()];
    // What others wrote may hold line ends and escapes for terminals.
    let text: String = text.chars().map(|it| if it.is_control() { ' ' } else { it }).collect();
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is at least one");
        let length = line.chars().count() + 1 + word.chars().count();
        if line.is_empty() {
            line.push_str(word);
        } else if room.is_some_and(|room| length > room) {
            lines.push(word.to_owned());
        } else {
            line.push(' ');
            line.push_str(word);
        }
    }
    lines
}
