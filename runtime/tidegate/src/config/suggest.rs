//! "Did you mean": the nearest known word.

/// Words less alike than this (Damerau-Levenshtein, 0 to 1) are no help.
const ALIKE_MIN: f64 = 0.6;

/// `; did you mean "type"?`, or nothing where no word is near.
pub(crate) fn did_you_mean<'w>(word: &str, known: impl Iterator<Item = &'w str>) -> String {
    let score = |candidate: &'w str| {
        let alike = strsim::normalized_damerau_levenshtein(word, candidate);
        (alike, candidate)
    };
    let best = known.map(score).max_by(|a, b| a.0.total_cmp(&b.0));
    match best {
        Some((alike, candidate)) if alike >= ALIKE_MIN => format!("; did you mean {candidate:?}?"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::did_you_mean;

    #[test]
    fn only_near_words_are_suggested() {
        let known = ["type", "topics", "url"];
        let meant = |word| did_you_mean(word, known.into_iter());
        assert_eq!(meant("tpye"), "; did you mean \"type\"?");
        assert_eq!(meant("topic"), "; did you mean \"topics\"?");
        assert_eq!(meant("whatever"), "");
        assert_eq!(meant(""), "");
    }
}
