//! What a detector finds.

/// Something unusual about a record.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// How unusual, in the plugin's own measure.
    pub score: f64,
    /// 0 to 100: 25 info, 50 warning, 75 critical.
    pub severity: u8,
    /// A sentence.
    pub reason: String,
}

impl Finding {
    /// A finding.
    pub fn new(score: f64, severity: u8, reason: impl Into<String>) -> Self {
        Finding { score, severity: severity.min(100), reason: reason.into() }
    }
}
