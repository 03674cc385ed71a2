//! `cargo xtask capture`: the bytes that Kafka's Java classes write.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::jars::{RELEASES, Release};
use crate::java::Java;
use crate::paths;

/// Rebuild the corpora: for each release, what its Java classes write and what they refuse.
///
/// Writes corpus-VERSION.jsonl.gz, negative-VERSION.jsonl.gz and, for releases from 4.3 on, records-VERSION.jsonl.gz.
/// The same seed gives the same bytes. Needs a JDK (17 or later) and Maven.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The Kafka release; may be given several times.
    #[arg(long = "release", value_name = "VERSION", default_values = RELEASES)]
    releases: Vec<Release>,
    /// What the random values are drawn from.
    #[arg(long, value_name = "N", default_value_t = 1001)]
    seed: u32,
    /// How many values for each version of each message: the default, the smallest, then random ones.
    #[arg(long, value_name = "N", default_value_t = 6)]
    k: u32,
    /// The directory to write to [default: target/corpora]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Runs the command.
pub(crate) fn run(args: Args) -> Result<()> {
    let out = args
        .out
        .clone()
        .unwrap_or_else(|| paths::target_dir().join("corpora"));
    fs::create_dir_all(&out).with_context(|| format!("cannot make {}", out.display()))?;
    for release in &args.releases {
        capture(release, &args, &out)?;
    }
    println!("wrote the corpora to {}", out.display());
    Ok(())
}

fn capture(release: &Release, args: &Args, out: &Path) -> Result<()> {
    let java = Java::for_release(release)?;
    let kafka = release.to_string();
    let file = |kind: &str| {
        out.join(format!("{kind}-{release}.jsonl.gz"))
            .into_os_string()
    };
    let seed = args.seed.to_string();
    let k = args.k.to_string();
    java.run(
        "Capture",
        [
            "--kafka".into(),
            kafka.clone().into(),
            "--seed".into(),
            seed.into(),
            "--k".into(),
            k.into(),
            "--out".into(),
            file("corpus"),
            "--neg".into(),
            file("negative"),
        ],
    )?;
    if java.has_records_capture() {
        java.run(
            "RecordsCapture",
            [
                "--kafka".into(),
                kafka.into(),
                "--out".into(),
                file("records"),
            ],
        )?;
    }
    Ok(())
}
