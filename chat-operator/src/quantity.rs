//! Quantities as Kubernetes writes them: `500m` is `0.5`. It keeps them in a form of its own, so what
//! was meant and what stands there may be spelled differently.

/// Whether two texts are the same quantity. What is none is not.
#[must_use]
pub(crate) fn same(one: &str, other: &str) -> bool {
    matches!((nanos(one), nanos(other)), (Some(one), Some(other)) if one == other)
}

/// In billionths.
fn nanos(text: &str) -> Option<i128> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '-' && c != '+');
    let (number, suffix) = text.split_at(end.unwrap_or(text.len()));
    let (numerator, denominator): (i128, i128) = match suffix {
        "n" => (1, 1),
        "u" => (1_000, 1),
        "m" => (1_000_000, 1),
        "" => (1_000_000_000, 1),
        "k" => (1_000_000_000_000, 1),
        "M" => (10_i128.pow(15), 1),
        "G" => (10_i128.pow(18), 1),
        "T" => (10_i128.pow(21), 1),
        "Ki" => (1_000_000_000 << 10, 1),
        "Mi" => (1_000_000_000 << 20, 1),
        "Gi" => (1_000_000_000 << 30, 1),
        "Ti" => (1_000_000_000 << 40, 1),
        _ => return None,
    };
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    if part.len() > 9 || whole.len() > 12 || number.is_empty() {
        return None;
    }
    let negative = whole.starts_with('-');
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let scale = 10_i128.pow(u32::try_from(part.len()).ok()?);
    let part: i128 = if part.is_empty() { 0 } else { part.parse().ok()? };
    let part = if negative { -part } else { part };
    Some((whole * scale + part) * numerator / (scale * denominator))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_quantity_are_the_same() {
        for (one, other) in
            [("0.5", "500m"), ("1024Mi", "1Gi"), ("1", "1000m"), ("2k", "2000"), ("-1.5", "-1500m")]
        {
            assert!(same(one, other), "{one} {other}");
        }
        for (one, other) in
            [("1", "1m"), ("1G", "1Gi"), ("", ""), ("x", "x"), ("1.", "2"), ("1X", "1X")]
        {
            assert!(!same(one, other), "{one} {other}");
        }
    }
}
