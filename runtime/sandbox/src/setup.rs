//! A plugin with its parameters: what it takes to make a configured instance, again and again.

use crate::guest::Guest;
use crate::wire;
use crate::{Bound, ConfigureError, Fault, Issue, Kind, Limits, Plan, Plugin, fault};
use std::sync::Arc;
use tidegate_record::{Field, Scalar, Schema};

/// Most issues that are kept of a refusal.
const ISSUES_MAX: usize = 32;
/// The name under which plugins read a record's device; no field of a schema is called so.
const DEVICE: &str = "device";

/// Where something a plugin reads is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Read {
    /// In a column of the input.
    Column(usize),
    /// It is the record's device.
    Device,
}

/// What a runner was made of; never changes.
pub(crate) struct Setup {
    pub(crate) plugin: Arc<Plugin>,
    pub(crate) limits: Limits,
    pub(crate) plan: Plan,
    /// Where what [`Plan::reads`] names is found.
    pub(crate) reads: Vec<Read>,
    /// The version of the states it writes.
    pub(crate) state_version: u32,
    params: String,
    fields: Vec<wire::Field>,
}

impl Setup {
    /// Configures a first instance and checks its plan.
    pub(crate) fn new(
        plugin: Arc<Plugin>,
        params: &str,
        schema: &Schema,
        limits: &Limits,
    ) -> Result<(Setup, Guest), ConfigureError> {
        let device = Field::new(DEVICE, Scalar::Text);
        let fields: Vec<wire::Field> = schema.fields().iter().chain([&device]).map(wire_field).collect();
        let refused = |issues| Err(ConfigureError::Issues { plugin: plugin.label.to_string(), issues });
        if limits.call_fuel.is_some() && !plugin.counts_fuel {
            let message = "call_fuel is a limit only of an engine that counts fuel: fuel = true".into();
            return refused(vec![Issue { at: String::new(), message }]);
        }
        let mut guest = Guest::start(&plugin, limits).map_err(ConfigureError::Fault)?;
        let plan = match guest.configure(params, &fields).map_err(ConfigureError::Fault)? {
            Ok(plan) => plan_of(plan),
            Err(issues) => return refused(issues.into_iter().take(ISSUES_MAX).map(issue_of).collect()),
        };
        let issues = check(&plugin, &plan, schema);
        if !issues.is_empty() {
            return refused(issues);
        }
        let reads = plan.reads.iter().filter_map(|name| read(schema, name)).collect();
        let state_version = guest.state_version().map_err(ConfigureError::Fault)?;
        let (params, limits) = (params.to_string(), limits.clone());
        Ok((Setup { plugin, limits, plan, reads, state_version, params, fields }, guest))
    }

    /// Another instance, configured alike.
    pub(crate) fn start(&self) -> Result<Guest, Fault> {
        let mut guest = Guest::start(&self.plugin, &self.limits)?;
        match guest.configure(&self.params, &self.fields)? {
            Ok(plan) if plan_of(plan.clone()) == self.plan => Ok(guest),
            _ => Err(self.bad_reply("configure answered otherwise than the first time")),
        }
    }

    pub(crate) fn bad_reply(&self, message: &str) -> Fault {
        fault::bad_reply(&self.plugin.label, message)
    }

    pub(crate) fn too_much(&self, bound: Bound, message: &str) -> Fault {
        fault::too_much(&self.plugin.label, bound, message)
    }
}

fn read(schema: &Schema, name: &str) -> Option<Read> {
    if name == DEVICE { Some(Read::Device) } else { schema.position(name).map(Read::Column) }
}

/// What of a plan the host cannot accept.
fn check(plugin: &Plugin, plan: &Plan, schema: &Schema) -> Vec<Issue> {
    let mut issues = Vec::new();
    let mut issue = |at: &str, message: String| issues.push(Issue { at: fault::bounded(at.to_string()), message });
    // So many can be right; of the others not every one is told.
    let looked_at = schema.fields().len() + 1 + ISSUES_MAX;
    for (i, name) in plan.reads.iter().take(looked_at).enumerate() {
        if read(schema, name).is_none() {
            let has: Vec<&str> = schema.fields().iter().map(|f| f.name.as_str()).collect();
            issue(name, format!("the input has no such field; it has {}", has.join(", ")));
        } else if plan.reads[..i].contains(name) {
            issue(name, "the plugin reads this field twice".into());
        }
    }
    issues.truncate(ISSUES_MAX);
    let mut issue = |at: &str, message: String| issues.push(Issue { at: fault::bounded(at.to_string()), message });
    if plugin.has_state && !plan.slots {
        issue("", "the plugin keeps state but does not ask for slots".into());
    }
    if matches!(plugin.kind, Kind::Filter | Kind::Detect) && !plan.emits.is_empty() {
        issue("", format!("a {} makes no fields of its own, this one emits some", plugin.kind));
    }
    let of_record = |field: &&Field| plugin.kind == Kind::Codec && matches!(field.name.as_str(), "device" | "time");
    let emits = plan.emits.iter().filter(|field| !of_record(field)).cloned().collect();
    if let Err(error) = Schema::new(emits) {
        issue("", format!("the plugin emits unusable fields: {error}"));
    }
    issues
}

fn wire_field(field: &Field) -> wire::Field {
    wire::Field { name: field.name.clone(), scalar: wire::Scalar::of(field.scalar), unit: field.unit.clone() }
}

fn issue_of(issue: wire::Issue) -> Issue {
    Issue { at: fault::bounded(issue.at), message: fault::bounded(issue.message) }
}

fn plan_of(plan: wire::PlanOut) -> Plan {
    let emits = plan.emits.into_iter().map(|f| Field { name: f.name, scalar: f.scalar.record(), unit: f.unit });
    Plan { reads: plan.reads, times: plan.times, slots: plan.slots, emits: emits.collect() }
}
