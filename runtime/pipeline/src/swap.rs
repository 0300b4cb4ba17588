//! Putting another version of a plugin in the place of the running one, from outside of the pipeline.

use crate::ask::{Answer, Ask};
use crate::handover::{Handover, Recipe, Swapped};
use crate::shadow::{Bounds, Shadow};
use crate::{BuildError, Handle};
use std::sync::Arc;
use tidegate_sandbox::Plugin;

/// How often states are carried over before the switch, at most.
const ROUNDS_MAX: usize = 5;
/// So few that the switch may carry them itself.
const LEFT_FEW: usize = 256;

/// Puts another version in the place of an operator's plugin, while the pipeline runs: the bulk of the states first, the
/// switch between two turns. Computes at length: give it a thread of its own. After an error the old one goes on.
pub async fn swap(handle: &Handle, operator: usize, recipe: &Recipe, plugin: Arc<Plugin>) -> Result<Swapped, String> {
    let to = Handover::new(recipe, plugin).map_err(|error| error.to_string())?;
    let mut last = usize::MAX;
    for _ in 0..ROUNDS_MAX {
        handle.ask(Ask::HandOver { operator, to: to.clone() }).await?;
        let taken = to.take_in()?;
        // Every round costs the pipeline time: where it does not leave fewer, it is no use.
        if taken <= LEFT_FEW || taken > last / 2 {
            break;
        }
        last = taken;
    }
    match handle.ask(Ask::Swap { operator, to }).await? {
        Answer::Swapped(swapped) => Ok(swapped),
        other => Err(format!("the pipeline did something else: {other:?}")),
    }
}

/// Has another version run beside an operator. Computes at length: give it a thread of its own.
pub async fn shadow(
    handle: &Handle,
    operator: usize,
    recipe: &Recipe,
    plugin: Arc<Plugin>,
    bounds: Bounds,
) -> Result<Shadow, String> {
    let beside = recipe.operator(operator, plugin).map_err(|error: BuildError| error.to_string())?;
    let shadow = Shadow::new(beside, bounds);
    handle.ask(Ask::Shadow { operator, shadow: Some(shadow.clone()) }).await?;
    Ok(shadow)
}
