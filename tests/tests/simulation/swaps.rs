//! A person who swaps the plugins of a running gateway.

use crate::world::{World, pass};
use rand::Rng as _;
use rand::rngs::StdRng;
use tidegate_pipeline::{Handle, Recipe, swap};

/// Swaps each plugin of a pipeline now and then, for another instance of the same version: nobody must see it.
pub async fn swaps(world: World, name: &str, handle: Handle, recipes: Vec<Recipe>, mut chance: StdRng) {
    loop {
        pass(chance.random_range(300..4_000)).await;
        for (operator, recipe) in (1..).zip(&recipes) {
            match swap(&handle, operator, recipe, recipe.options.plugin.clone()).await {
                Ok(swapped) => world.log(format!("pipeline {name}: plugin swapped with {} slots", swapped.slots)),
                Err(why) => return world.log(format!("pipeline {name}: plugin not swapped: {why}")),
            }
        }
    }
}
