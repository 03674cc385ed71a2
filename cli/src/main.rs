//! The program `kwire`; all of it is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    kwire::main()
}
