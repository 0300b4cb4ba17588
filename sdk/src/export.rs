//! From the traits an author implements to the interfaces the host calls.

/// Exports a type as this crate's plugin: `export!(filter Threshold)`, `export!(filter + state Debounce)`,
/// `export!(detect Limit)`, `export!(detect + state Zscore)`, `export!(aggregate Stats)` (always with state),
/// `export!(transform Scale)`, `export!(transform + state Rate)`, `export!(codec Meter)`.
///
/// Natively it only makes the plugin known to [`crate::testing::plugin!`].
#[macro_export]
macro_rules! export {
    (filter $plugin:ty) => { $crate::export!(@@@ $plugin, false, [filter]); };
    (filter + state $plugin:ty) => { $crate::export!(@@@ $plugin, true, [filter state]); };
    (detect $plugin:ty) => { $crate::export!(@@@ $plugin, false, [detect]); };
    (detect + state $plugin:ty) => { $crate::export!(@@@ $plugin, true, [detect state]); };
    (aggregate $plugin:ty) => { $crate::export!(@@@ $plugin, true, [aggregate state]); };
    (transform $plugin:ty) => { $crate::export!(@@@ $plugin, false, [transform]); };
    (transform + state $plugin:ty) => { $crate::export!(@@@ $plugin, true, [transform state]); };
    (codec $plugin:ty) => { $crate::export!(@@@ $plugin, false, [codec]); };
    (@@@ $plugin:ty, $slots:literal, [$($interface:ident)*]) => {
        // A second one in the same place is an error that names this.
        #[doc(hidden)]
        #[allow(dead_code)]
        pub(crate) struct ThePluginOfThisCrate;

        $crate::export!(@ $plugin, $slots, [$($interface)*]);
    };
    (@ $plugin:ty, $slots:literal, [$($interface:ident)*]) => {
        #[cfg(not(target_arch = "wasm32"))]
        impl $crate::testing::native::Exported for ThePluginOfThisCrate {
            fn instance() -> ::std::boxed::Box<dyn $crate::testing::native::Instance> {
                ::std::boxed::Box::new($crate::testing::native::Of::<$plugin>::new($slots)$(.$interface())*)
            }
        }

        #[cfg(target_arch = "wasm32")]
        const _: () = {
            struct Exported;

            ::std::thread_local! {
                static PLUGIN: $crate::glue::Held<$plugin> = const { $crate::glue::Held::new(None) };
            }

            impl $crate::bindings::plugin::Guest for Exported {
                fn describe() -> $crate::bindings::plugin::About {
                    $crate::glue::describe::<$plugin>($crate::About {
                        name: env!("CARGO_PKG_NAME"),
                        version: env!("CARGO_PKG_VERSION"),
                        summary: env!("CARGO_PKG_DESCRIPTION"),
                    })
                }
                fn configure(
                    params: ::std::string::String,
                    fields: ::std::vec::Vec<$crate::Field>,
                ) -> ::std::result::Result<
                    $crate::bindings::plugin::Plan,
                    ::std::vec::Vec<$crate::bindings::plugin::Issue>,
                > {
                    PLUGIN.with(|held| $crate::glue::configure::<$plugin>(held, &params, &fields, $slots))
                }
            }
            $crate::bindings::plugin::export_plugin!(Exported with_types_in $crate::bindings::plugin);
            $($crate::export!(@@ $interface);)*
        };
    };
    (@@ filter) => {
        impl $crate::bindings::filter::Guest for Exported {
            fn keep(batch: $crate::Batch) -> $crate::bindings::filter::Kept {
                PLUGIN.with(|held| $crate::glue::keep(held, batch))
            }
        }
        $crate::bindings::filter::export_filter!(Exported with_types_in $crate::bindings::filter);
    };
    (@@ detect) => {
        impl $crate::bindings::detect::Guest for Exported {
            fn score(batch: $crate::Batch) -> $crate::bindings::detect::Found {
                PLUGIN.with(|held| $crate::glue::score(held, batch))
            }
        }
        $crate::bindings::detect::export_detect!(Exported with_types_in $crate::bindings::detect);
    };
    (@@ aggregate) => {
        impl $crate::bindings::aggregate::Guest for Exported {
            fn update(batch: $crate::Batch) -> ::std::vec::Vec<$crate::Fault> {
                PLUGIN.with(|held| $crate::glue::update(held, batch))
            }
            fn merge(into: ::std::vec::Vec<u32>, later: ::std::vec::Vec<u32>) {
                PLUGIN.with(|held| $crate::glue::merge(held, &into, &later))
            }
            fn finish(windows: $crate::bindings::aggregate::Windows) -> ::std::vec::Vec<$crate::Column> {
                PLUGIN.with(|held| $crate::glue::finish(held, &windows))
            }
        }
        $crate::bindings::aggregate::export_aggregate!(Exported with_types_in $crate::bindings::aggregate);
    };
    (@@ transform) => {
        impl $crate::bindings::transform::Guest for Exported {
            fn apply(batch: $crate::Batch) -> $crate::Table {
                PLUGIN.with(|held| $crate::glue::apply(held, batch))
            }
        }
        $crate::bindings::transform::export_transform!(Exported with_types_in $crate::bindings::transform);
    };
    (@@ codec) => {
        impl $crate::bindings::codec::Guest for Exported {
            fn decode(batch: $crate::Batch) -> $crate::Table {
                PLUGIN.with(|held| $crate::glue::decode(held, batch))
            }
        }
        $crate::bindings::codec::export_codec!(Exported with_types_in $crate::bindings::codec);
    };
    (@@ state) => {
        impl $crate::bindings::state::Guest for Exported {
            fn version() -> u32 {
                PLUGIN.with($crate::glue::version)
            }
            fn save(slots: ::std::vec::Vec<u32>) -> $crate::Blobs {
                PLUGIN.with(|held| $crate::glue::save(held, &slots))
            }
            fn load(
                version: u32,
                slots: ::std::vec::Vec<u32>,
                states: $crate::Blobs,
            ) -> ::std::result::Result<(), ::std::string::String> {
                PLUGIN.with(|held| $crate::glue::load(held, version, &slots, &states))
            }
            fn release(slots: ::std::vec::Vec<u32>) {
                PLUGIN.with(|held| $crate::glue::release(held, &slots))
            }
        }
        $crate::bindings::state::export_state!(Exported with_types_in $crate::bindings::state);
    };
}

/// What [`export!`] calls.
#[doc(hidden)]
#[allow(missing_docs)]
pub mod glue {
    use crate::bindings::{aggregate::Windows, detect, filter, plugin};
    use crate::params::read_params;
    use crate::{About, Aggregate, Batch, Blobs, Codec, Column, Detect, Fault, Field, Filter, Params, Plugin, State};
    use crate::{Table, Transform, Window};
    use std::cell::RefCell;

    /// Most room made for states before they are there.
    const RESERVE_BYTES_MAX: usize = 64 << 10;

    /// The one configured plugin of an instance.
    pub type Held<P> = RefCell<Option<P>>;

    pub fn describe<P: Plugin>(about: About) -> plugin::About {
        let About { name, version, summary } = about;
        plugin::About {
            name: name.into(),
            version: version.into(),
            summary: summary.into(),
            params: {
                let fields = P::fields_help().map(|fields| format!(",\"x-fields\":{}", fields.json()));
                P::Params::schema().json_beside(&fields.unwrap_or_default())
            },
        }
    }

    pub fn configure<P: Plugin>(
        held: &Held<P>,
        params: &str,
        fields: &[Field],
        slots: bool,
    ) -> Result<plugin::Plan, Vec<plugin::Issue>> {
        let configured = read_params::<P::Params>(params).and_then(|params| P::configure(params, fields));
        let (plugin, plan) = configured.map_err(|issues| {
            issues.into_iter().map(|issue| plugin::Issue { at: issue.at, message: issue.message }).collect::<Vec<_>>()
        })?;
        *held.borrow_mut() = Some(plugin);
        Ok(plugin::Plan { reads: plan.reads, times: plan.times, slots: plan.slots || slots, emits: plan.emits })
    }

    /// A host that calls before it configures gets a trap.
    fn with<P, T>(held: &Held<P>, act: impl FnOnce(&mut P) -> T) -> T {
        match held.borrow_mut().as_mut() {
            Some(plugin) => act(plugin),
            None => unreachable!("called before configure"),
        }
    }

    pub fn keep<P: Filter>(held: &Held<P>, batch: Batch) -> filter::Kept {
        let mut faults = Vec::new();
        let keep = with(held, |plugin| plugin.keep(&batch, &mut faults));
        filter::Kept { keep, faults }
    }

    pub fn score<P: Detect>(held: &Held<P>, batch: Batch) -> detect::Found {
        let (mut found, mut faults) = (Vec::new(), Vec::new());
        let scores = with(held, |plugin| plugin.score(&batch, &mut found, &mut faults));
        let finding = |(row, f): (u32, crate::Finding)| detect::Finding {
            row,
            score: f.score,
            severity: f.severity,
            reason: f.reason,
        };
        detect::Found { findings: found.into_iter().map(finding).collect(), scores, faults }
    }

    pub fn update<P: Aggregate>(held: &Held<P>, batch: Batch) -> Vec<Fault> {
        let mut faults = Vec::new();
        with(held, |plugin| plugin.update(&batch, &mut faults));
        faults
    }

    pub fn merge<P: Aggregate>(held: &Held<P>, into: &[u32], later: &[u32]) {
        with(held, |plugin| into.iter().zip(later).for_each(|(&into, &later)| plugin.merge(into, later)));
    }

    pub fn finish<P: Aggregate>(held: &Held<P>, windows: &Windows) -> Vec<Column> {
        let spans = windows.starts.iter().zip(&windows.ends);
        let windows: Vec<Window> =
            windows.slots.iter().zip(spans).map(|(&slot, (&start, &end))| Window { slot, start, end }).collect();
        with(held, |plugin| plugin.finish(&windows))
    }

    pub fn apply<P: Transform>(held: &Held<P>, batch: Batch) -> Table {
        with(held, |plugin| plugin.apply(&batch))
    }

    pub fn decode<P: Codec>(held: &Held<P>, batch: Batch) -> Table {
        with(held, |plugin| plugin.decode(&batch))
    }

    pub fn version<P: State>(_: &Held<P>) -> u32 {
        P::VERSION
    }

    pub fn save<P: State>(held: &Held<P>, slots: &[u32]) -> Blobs {
        let mut states = Blobs { offsets: Vec::with_capacity(slots.len() + 1), data: Vec::new() };
        states.offsets.push(0);
        with(held, |plugin| {
            for (at, &slot) in slots.iter().enumerate() {
                plugin.save(slot, &mut states.data);
                states.offsets.push(states.data.len() as u32);
                if at == 0 {
                    // States are mostly of one size; where the first is a large one, that is no reason to take memory.
                    states.data.reserve(states.data.len().saturating_mul(slots.len() - 1).min(RESERVE_BYTES_MAX));
                }
            }
        });
        states
    }

    pub fn load<P: State>(held: &Held<P>, version: u32, slots: &[u32], states: &Blobs) -> Result<(), String> {
        with(held, |plugin| {
            slots.iter().enumerate().try_for_each(|(at, &slot)| plugin.load(version, slot, states.at(at)))
        })
    }

    pub fn release<P: State>(held: &Held<P>, slots: &[u32]) {
        with(held, |plugin| slots.iter().for_each(|&slot| plugin.release(slot)));
    }
}

#[cfg(test)]
mod tests {
    use super::glue;
    use crate::State;

    /// Slot 0 remembers much, all others little.
    struct Uneven;

    impl State for Uneven {
        fn save(&self, slot: u32, out: &mut Vec<u8>) {
            out.extend(std::iter::repeat_n(1, if slot == 0 { 60_000 } else { 10 }));
        }

        fn load(&mut self, _: u32, _: u32, _: &[u8]) -> Result<(), String> {
            Ok(())
        }

        fn release(&mut self, _: u32) {}
    }

    #[test]
    fn one_large_state_takes_no_memory_for_all_the_others() {
        let slots: Vec<u32> = (0..4096).collect();
        let states = glue::save(&glue::Held::new(Some(Uneven)), &slots);
        assert_eq!((states.data.len(), states.at(4095).len()), (60_000 + 4095 * 10, 10));
        assert!(states.data.capacity() < 300_000, "{} bytes", states.data.capacity());
    }
}
