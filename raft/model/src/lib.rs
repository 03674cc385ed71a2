//! A bounded model check.
pub mod bounds;
pub mod catalog;
pub mod explore;
pub mod ghost;
pub mod local;
pub mod packet;
pub mod report;
pub mod scenario;
pub mod scenarios;
pub mod script;
pub mod store;
pub mod traces;
pub mod view;
pub mod witness;
pub mod world;
