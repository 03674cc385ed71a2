//! The log on a disk: crashes, damage, directories of Java's.

mod common;
mod crash;
mod damage;
mod disk;
mod java;
mod stores;
