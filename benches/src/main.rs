//! Times kwire beside other libraries in one process, in turns, and prints a line for each
//! figure. `cargo xtask bench` runs it, and the programs for other languages, and makes tables.

mod alloc;
mod cases;
mod checksum;
mod codec;
#[cfg(feature = "corpus")]
mod corpus;
mod dispatch;
mod handwritten;
mod peers;
mod proxies;
mod records;
mod shapes;
mod timing;

use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use timing::Plan;

/// The usage that a wrong command line is answered with.
const USAGE: &str = "kwire-benches codec [--quick] [--case ID]... [--operation NAME]...
       kwire-benches export DIR
       kwire-benches shapes
       kwire-benches corpus";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["codec", ref options @ ..] => codec(options),
        ["export", dir] => {
            cases::export(&cases::all(), Path::new(dir)).expect("the directory can be written");
        }
        ["shapes"] => shapes::run(),
        #[cfg(feature = "corpus")]
        ["corpus"] => corpus::run().expect("the corpus is there"),
        _ => usage(),
    }
}

fn codec(options: &[&str]) {
    let mut plan = Plan {
        rounds: 600,
        most: Duration::from_millis(400),
        cases: Vec::new(),
        operations: Vec::new(),
    };
    let mut options = options.iter();
    while let Some(option) = options.next() {
        match *option {
            "--quick" => (plan.rounds, plan.most) = (60, Duration::from_millis(40)),
            "--case" => plan.cases.extend(options.next().map(ToString::to_string)),
            "--operation" => plan
                .operations
                .extend(options.next().map(ToString::to_string)),
            _ => usage(),
        }
    }
    free_a_large_block();
    let cases = cases::all();
    codec::run(&plan, &cases);
    dispatch::run(&plan, &cases);
    records::run(&plan);
    proxies::run(&plan);
    checksum::run(&plan);
}

/// What any server has done that has handled one large frame.
///
/// glibc's allocator hands every large block back to the kernel, and gets it back page by page
/// with the next message, until the process has freed a large block once: it then keeps blocks
/// up to that size.
fn free_a_large_block() {
    drop(black_box(vec![1u8; 32 << 20]));
}

fn usage() -> ! {
    eprintln!("usage: {USAGE}");
    std::process::exit(2);
}
