//! Who sends next: weighted fair queueing by bytes. No clock and no I/O; the caller says what time it is.
//!
//! Every sink is a **flow** and has a tag: the bytes it has sent over its weight. Of those that ask, the one with the
//! lowest tag goes, so bytes come out as the weights are. A flow that was at rest begins at the tag of what is being
//! sent: nobody saves up for later.
//!
//! Urgent flows go before all others, but for a part of the bytes ([`URGENT_WEIGHT`]) that the others keep: a flood of
//! alarms starves nobody. It is the same queueing one level up, between the two classes.
//!
//! A flow whose request has just ended is about to ask again, and counts as if it did for [`COMING_MAX_US`], until it
//! asks or says that it rests. Otherwise two flows would only ever alternate, whatever their weights.

/// Of the bytes, urgent flows may have this many parts where the others have one.
const URGENT_WEIGHT: u64 = 9;
/// How long a flow between two requests is waited for.
const COMING_MAX_US: i64 = 250_000;
/// How long a request keeps others from sending: it may take that on a slow line. An upstream that hangs is given up
/// before, by its time-out, and what is tried again keeps nobody.
const SLOT_MAX_US: i64 = 60_000_000;
/// Tags are bytes times this over a weight, so that small requests count with large weights.
const SCALE: u64 = 1024;

/// The flows of one uplink.
#[derive(Debug)]
pub(super) struct Fair {
    slots: usize,
    /// Urgent, others.
    classes: [Class; 2],
    /// The tag of the class that was last granted.
    tag: u64,
    flows: Vec<Flow>,
}

#[derive(Debug, Default)]
struct Class {
    line: Line,
    /// The tag of the flow that was last granted in it.
    tag: u64,
}

#[derive(Debug)]
struct Flow {
    line: Line,
    class: usize,
    stage: Stage,
}

/// A share of the bytes and what was sent of it.
#[derive(Debug, Default)]
struct Line {
    weight: u64,
    tag: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Has nothing to send, or cannot.
    Resting,
    /// Its request has ended: until then it is waited for.
    Coming { until: i64 },
    /// Wants to send so many bytes.
    Asking { bytes: u64 },
    /// Sends what it was granted.
    Sending { bytes: u64, since: i64 },
}

impl Fair {
    /// No flows yet; `slots` of them may send at a time.
    pub(super) fn new(slots: usize) -> Self {
        let class = |weight| Class { line: Line { weight, tag: 0 }, tag: 0 };
        Fair { slots, classes: [class(URGENT_WEIGHT), class(1)], tag: 0, flows: Vec::new() }
    }

    /// Adds a flow and gives its number.
    pub(super) fn join(&mut self, weight: u32, urgent: bool) -> usize {
        let line = Line { weight: u64::from(weight.max(1)), tag: 0 };
        self.flows.push(Flow { line, class: usize::from(!urgent), stage: Stage::Resting });
        self.flows.len() - 1
    }

    /// A flow wants to send.
    pub(super) fn ask(&mut self, flow: usize, bytes: u64) {
        if self.flows[flow].stage == Stage::Resting {
            let class = self.flows[flow].class;
            let at_rest = !self.flows.iter().any(|f| f.class == class && f.stage != Stage::Resting);
            let class = &mut self.classes[class];
            if at_rest {
                class.line.tag = class.line.tag.max(self.tag);
            }
            self.flows[flow].line.tag = self.flows[flow].line.tag.max(class.tag);
        }
        self.flows[flow].stage = Stage::Asking { bytes };
    }

    /// A flow has nothing to send now, or cannot: it is not waited for. Whether that is news.
    pub(super) fn rest(&mut self, flow: usize) -> bool {
        self.refund(flow);
        std::mem::replace(&mut self.flows[flow].stage, Stage::Resting) != Stage::Resting
    }

    /// Whether a flow was granted what it asked for.
    pub(super) fn is_sending(&self, flow: usize) -> bool {
        matches!(self.flows[flow].stage, Stage::Sending { .. })
    }

    /// The flow that sends next, if one may. It is sending from then on.
    pub(super) fn grant(&mut self, now: i64) -> Option<usize> {
        if self.sending(now) >= self.slots {
            return None;
        }
        let wants = |flow: &Flow| match flow.stage {
            Stage::Asking { .. } => true,
            Stage::Coming { until } => until > now,
            Stage::Resting | Stage::Sending { .. } => false,
        };
        let classes = (0..self.classes.len()).filter(|class| self.flows.iter().any(|f| f.class == *class && wants(f)));
        let class = classes.min_by_key(|class| self.classes[*class].line.tag)?;
        let flows = (0..self.flows.len()).filter(|flow| self.flows[*flow].class == class && wants(&self.flows[*flow]));
        let flow = flows.min_by_key(|flow| self.flows[*flow].line.tag)?;
        // It is one that comes: the line stays free for it.
        let Stage::Asking { bytes } = self.flows[flow].stage else { return None };
        self.tag = self.classes[class].line.tag;
        self.classes[class].tag = self.flows[flow].line.tag;
        self.flows[flow].stage = Stage::Sending { bytes, since: now };
        self.charge(flow, bytes);
        Some(flow)
    }

    /// How many flows wait for their turn.
    pub(super) fn asking(&self) -> usize {
        self.flows.iter().filter(|flow| matches!(flow.stage, Stage::Asking { .. })).count()
    }

    /// A flow has sent so many bytes, of what it was granted or without having asked, and is about to ask again.
    pub(super) fn ended(&mut self, flow: usize, sent: u64, now: i64) {
        self.refund(flow);
        self.charge(flow, sent);
        self.flows[flow].stage = Stage::Coming { until: now + COMING_MAX_US };
    }

    /// When [`Fair::grant`] may give another answer although nothing was told in between.
    pub(super) fn look_again(&self, now: i64) -> Option<i64> {
        let times = self.flows.iter().filter_map(|flow| match flow.stage {
            Stage::Coming { until } => Some(until),
            Stage::Sending { since, .. } => Some(since + SLOT_MAX_US),
            Stage::Resting | Stage::Asking { .. } => None,
        });
        times.filter(|time| *time > now).min()
    }

    fn charge(&mut self, flow: usize, bytes: u64) {
        for line in self.lines(flow) {
            line.tag += line.share(bytes);
        }
    }

    /// Gives back what a flow was charged for what it was granted and has not ended.
    fn refund(&mut self, flow: usize) {
        if let Stage::Sending { bytes, .. } = self.flows[flow].stage {
            for line in self.lines(flow) {
                line.tag = line.tag.saturating_sub(line.share(bytes));
            }
        }
    }

    /// A flow's own line and its class's.
    fn lines(&mut self, flow: usize) -> [&mut Line; 2] {
        let flow = &mut self.flows[flow];
        [&mut flow.line, &mut self.classes[flow.class].line]
    }

    fn sending(&self, now: i64) -> usize {
        let sends = |flow: &&Flow| matches!(flow.stage, Stage::Sending { since, .. } if since + SLOT_MAX_US > now);
        self.flows.iter().filter(sends).count()
    }
}

impl Line {
    fn share(&self, bytes: u64) -> u64 {
        bytes.saturating_mul(SCALE) / self.weight
    }
}

#[cfg(test)]
mod tests;
