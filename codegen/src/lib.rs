//! Reads Kafka's JSON message schemas and writes Rust: for each message a module with structs
//! that encode and decode every version of it, over the runtime in `kwire-protocol`.
//!
//! `kwire-protocol` has the messages of Kafka itself ready-made. This crate is for schemas of
//! one's own, and for fewer messages or versions of Kafka's.
//!
//! # In a build script
//!
//! [`Builder`] does everything. With `kwire-codegen` among the build dependencies, `build.rs` is
//!
//! ```no_run
//! fn main() -> Result<(), kwire_codegen::Error> {
//!     kwire_codegen::Builder::new()
//!         .schemas("schemas")
//!         .versions("Reading", "1+")
//!         .generate()?;
//!     Ok(())
//! }
//! ```
//!
//! and the crate takes in the code with
//! `include!(concat!(env!("OUT_DIR"), "/messages.rs"));` in a module of its choice.
//!
//! # Step by step
//!
//! The parts can be called one by one:
//!
//! 1. [`parse`] reads a schema file. It is lenient where Kafka's own reader is: comments, numbers
//!    written as strings, text behind the end.
//! 2. [`model::resolve`] checks the schemas against the rules of Kafka's generator, and gives each
//!    field a Rust name, a type and a default. A schema that breaks a rule is refused with a
//!    [`SchemaError`]: file, line, field, what is wrong and what to do about it.
//! 3. [`model::Narrowing`] leaves out the messages, versions and directions that nobody wants,
//!    and with them fields and branches.
//! 4. [`emit`] writes the Rust. It is a function of the model: the order of the files that the
//!    schemas came from, or the time of day, change nothing.
//!
//! ```
//! use std::path::Path;
//!
//! use kwire_codegen::emit::{Options, emit};
//! use kwire_codegen::model::{Docs, Narrowing, resolve};
//! use kwire_codegen::parse::parse_message;
//!
//! # fn main() -> Result<(), kwire_codegen::Error> {
//! let schema = r#"{
//!     "name": "Reading", "type": "data", "validVersions": "0-1", "flexibleVersions": "1+",
//!     "fields": [
//!         { "name": "Sensor", "type": "string", "versions": "0+" },
//!         { "name": "Celsius", "type": "float64", "versions": "0+" }
//!     ]
//! }"#;
//! let schemas = [parse_message(Path::new("Reading.json"), schema)?];
//! let messages = resolve(&schemas, &Docs::default())?;
//! let messages = Narrowing::default().apply(messages)?;
//! let files = emit(&messages, &Options::default())?;
//! assert_eq!(files[0].name, "reading.rs");
//! assert!(files[0].text.contains("pub struct Reading<'a>"));
//! assert_eq!(files[1].name, "mod.rs");
//! # Ok(())
//! # }
//! ```

pub mod emit;
pub mod model;
pub mod parse;

mod builder;
mod error;
mod versions;

pub use builder::Builder;
pub use emit::{File, Layout};
pub use error::{Error, SchemaError};
pub use model::Direction;
pub use versions::{ParseVersionsError, Versions};
