//! Which topics are taken in.

/// The filters a topic must match one of.
#[derive(Debug)]
pub(super) struct Filters {
    filters: Vec<String>,
    /// The topic that was looked at last, and what was found: devices say the same again and again.
    last: (String, bool),
}

impl Filters {
    pub fn new(filters: Vec<String>) -> Self {
        Filters { filters, last: Default::default() }
    }

    pub fn take(&mut self, topic: &str) -> bool {
        if self.last.0 != topic {
            self.last.0.clear();
            self.last.0.push_str(topic);
            self.last.1 = self.filters.iter().any(|filter| rumqttc::matches(topic, filter));
        }
        self.last.1
    }
}
