//! Namespaces of this program's own, for networks that can be cut and disks that can be full.
//!
//! The program starts itself again in them. Whatever it makes there, processes included, goes with
//! it, however it ends.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use crate::failure::Failure;

/// Tells the program that it was started by itself.
const INSIDE: &str = "KWIRE_FAULTS_SANDBOX";

/// What this machine lets one do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Abilities {
    /// There are namespaces: links can be cut, and small disks mounted.
    pub(crate) sandbox: bool,
    /// `strace` can delay what a process asks of its disk, and let it fail.
    pub(crate) strace: bool,
    /// The library that moves a process's clock.
    pub(crate) faketime: Option<PathBuf>,
}

/// Runs this program in a sandbox, if there is none around it and the system gives one.
pub(crate) fn enter() -> Result<Option<ExitCode>, Failure> {
    if env::var_os(INSIDE).is_some() {
        return Ok(None);
    }
    let program = env::current_exe()
        .map_err(|error| Failure::Harness(format!("cannot start myself: {error}")))?;
    // Who is not root may be it in a sandbox, where the system permits that.
    for as_root in [&[][..], &["--user", "--map-root-user"]] {
        let mut unshare = Command::new("unshare");
        unshare.args(as_root).args(["--net", "--mount", "--pid"]);
        unshare.args(["--fork", "--kill-child", "--mount-proc"]);
        let mut trial = Command::new("unshare");
        trial.args(unshare.get_args());
        trial.args(["mount", "-t", "tmpfs", "tmpfs", "/run"]);
        if !succeeds(&mut trial) || !succeeds(Command::new("ip").arg("-V")) {
            continue;
        }
        unshare.arg(program).args(env::args_os().skip(1));
        let status = unshare.env(INSIDE, "1").status();
        let status = status.map_err(|error| Failure::Harness(format!("unshare: {error}")))?;
        let code = status.code().and_then(|code| u8::try_from(code).ok());
        return Ok(Some(ExitCode::from(code.unwrap_or(1))));
    }
    Ok(None)
}

impl Abilities {
    /// Looks what there is, and says what is left out without it.
    pub(crate) fn find() -> Result<Abilities, Failure> {
        let sandbox = env::var_os(INSIDE).is_some();
        if sandbox {
            // Where `ip netns` notes its names: nobody else is to see them.
            run(Command::new("mount").args(["-t", "tmpfs", "tmpfs", "/run"]))?;
            fs::create_dir("/run/netns").map_err(Failure::file(Path::new("/run/netns")))?;
            run(Command::new("ip").args(["link", "set", "lo", "up"]))?;
        } else {
            println!(
                "left out: partitions and full disks (they need namespaces: Linux with unshare and \
                 ip, as root or where users may make them)"
            );
        }
        let mut trial = Command::new("strace");
        trial.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync"]);
        trial.args(["-e", "inject=fdatasync:delay_exit=1", "true"]);
        let strace = succeeds(&mut trial);
        if !strace {
            println!("left out: slow and failing disks (they need strace, and leave to trace)");
        }
        let faketime = find_faketime();
        if faketime.is_none() {
            println!("left out: clocks that jump (they need libfaketime)");
        }
        Ok(Abilities {
            sandbox,
            strace,
            faketime,
        })
    }
}

fn find_faketime() -> Option<PathBuf> {
    const LIBRARY: &str = "faketime/libfaketimeMT.so.1";
    let lib = Path::new("/usr/lib");
    let architectures = fs::read_dir(lib).into_iter().flatten().flatten();
    let mut places: Vec<PathBuf> = architectures.map(|entry| entry.path()).collect();
    places.push(lib.to_owned());
    let libraries = places.into_iter().map(|place| place.join(LIBRARY));
    libraries.into_iter().find(|library| library.is_file())
}

fn succeeds(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null());
    quiet
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Runs a program of the system that is to succeed.
pub(crate) fn run(command: &mut Command) -> Result<(), Failure> {
    let output = command.stdin(Stdio::null()).output();
    let name = command.get_program().display().to_string();
    let output = output.map_err(|error| Failure::Harness(format!("{name}: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    let arguments: Vec<_> = command
        .get_args()
        .map(|arg| arg.to_string_lossy())
        .collect();
    let what = format!("{name} {}: {said}", arguments.join(" "));
    Err(Failure::Harness(what))
}
