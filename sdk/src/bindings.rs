//! The contract (`wit/tidegate.wit`) in Rust: one generated module an interface, all with the same types, so that a
//! plugin exports exactly the interfaces it implements.
#![allow(missing_docs, clippy::all, unsafe_op_in_unsafe_fn)]

pub mod shapes {
    wit_bindgen::generate!({
        path: "wit",
        inline: "package tidegate:sdk-types; world shapes { import tidegate:plugin/types@1.0.0; }",
        generate_all,
        generate_unused_types: true,
        additional_derives: [PartialEq],
    });
}

pub use shapes::tidegate::plugin::types;

pub mod plugin {
    wit_bindgen::generate!({
        path: "wit",
        inline: "package tidegate:sdk; world plugin-only { export tidegate:plugin/plugin@1.0.0; }",
        with: { "tidegate:plugin/types@1.0.0": crate::bindings::types },
        generate_all,
        pub_export_macro: true,
        export_macro_name: "export_plugin",
        additional_derives: [PartialEq],
    });
    pub use exports::tidegate::plugin::plugin::*;
}

pub mod filter {
    wit_bindgen::generate!({
        path: "wit",
        inline: "package tidegate:sdk; world filter-only { export tidegate:plugin/filter@1.0.0; }",
        with: { "tidegate:plugin/types@1.0.0": crate::bindings::types },
        generate_all,
        pub_export_macro: true,
        export_macro_name: "export_filter",
        additional_derives: [PartialEq],
    });
    pub use exports::tidegate::plugin::filter::*;
}

pub mod detect {
    wit_bindgen::generate!({
        path: "wit",
        inline: "package tidegate:sdk; world detect-only { export tidegate:plugin/detect@1.0.0; }",
        with: { "tidegate:plugin/types@1.0.0": crate::bindings::types },
        generate_all,
        pub_export_macro: true,
        export_macro_name: "export_detect",
        additional_derives: [PartialEq],
    });
    pub use exports::tidegate::plugin::detect::*;
}

pub mod aggregate {
    wit_bindgen::generate!({
        path: "wit",
        inline: "package tidegate:sdk; world aggregate-only { export tidegate:plugin/aggregate@1.0.0; }",
        with: { "tidegate:plugin/types@1.0.0": crate::bindings::types },
        generate_all,
        pub_export_macro: true,
        export_macro_name: "export_aggregate",
        additional_derives: [PartialEq],
    });
    pub use exports::tidegate::plugin::aggregate::*;
}

pub mod state {
    wit_bindgen::generate!({
        path: "wit",
        inline: "package tidegate:sdk; world state-only { export tidegate:plugin/state@1.0.0; }",
        with: { "tidegate:plugin/types@1.0.0": crate::bindings::types },
        generate_all,
        pub_export_macro: true,
        export_macro_name: "export_state",
        additional_derives: [PartialEq],
    });
    pub use exports::tidegate::plugin::state::*;
}

pub mod transform {
    wit_bindgen::generate!({
        path: "wit",
        inline: "package tidegate:sdk; world transform-only { export tidegate:plugin/transform@1.0.0; }",
        with: { "tidegate:plugin/types@1.0.0": crate::bindings::types },
        generate_all,
        pub_export_macro: true,
        export_macro_name: "export_transform",
        additional_derives: [PartialEq],
    });
    pub use exports::tidegate::plugin::transform::*;
}

pub mod codec {
    wit_bindgen::generate!({
        path: "wit",
        inline: "package tidegate:sdk; world codec-only { export tidegate:plugin/codec@1.0.0; }",
        with: { "tidegate:plugin/types@1.0.0": crate::bindings::types },
        generate_all,
        pub_export_macro: true,
        export_macro_name: "export_codec",
        additional_derives: [PartialEq],
    });
    pub use exports::tidegate::plugin::codec::*;
}

pub mod log {
    wit_bindgen::generate!({
        path: "wit",
        inline: "package tidegate:sdk; world log-only { import tidegate:plugin/log@1.0.0; }",
        generate_all,
        additional_derives: [PartialEq],
    });
    pub use self::tidegate::plugin::log::*;
}

pub mod lookup {
    wit_bindgen::generate!({
        path: "wit",
        inline: "package tidegate:sdk; world lookup-only { import tidegate:plugin/lookup@1.0.0; }",
        with: { "tidegate:plugin/types@1.0.0": crate::bindings::types },
        generate_all,
        additional_derives: [PartialEq],
    });
    pub use self::tidegate::plugin::lookup::*;
}

pub mod clock {
    wit_bindgen::generate!({
        path: "wit",
        inline: "package tidegate:sdk; world clock-only { import tidegate:plugin/clock@1.0.0; }",
        generate_all,
        additional_derives: [PartialEq],
    });
    pub use self::tidegate::plugin::clock::*;
}
