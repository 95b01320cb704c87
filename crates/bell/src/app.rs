//! The frame around every command: from arguments to an exit status.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;
use domain::caught::{Catcher, catcher};
use domain::code::{Code, Refusal};

use crate::args::{Cli, Command};
use crate::context::Context;
use crate::error::{self, Error, Result};
use crate::exit::Exit;
use crate::output::Ui;
use crate::{args, logs};

pub(crate) fn main(argv: Vec<OsString>) -> ExitCode {
    // A worker's helper process: it must start in a moment and knows none of the rest.
    if argv
        .get(1)
        .is_some_and(|word| word == engine::process::guard::SUBCOMMAND)
    {
        return engine::process::guard::main(argv.into_iter().skip(2));
    }
    std::panic::set_hook(Box::new(tell_panic));
    let json = argv.iter().any(|word| word == "--json");
    let exit = match Cli::try_parse_from(with_help(argv)) {
        Ok(cli) => start(cli),
        Err(error) => usage(&error, json),
    };
    exit.into()
}

/// `bell help COMMAND` is `bell COMMAND --help`.
fn with_help(mut argv: Vec<OsString>) -> Vec<OsString> {
    if argv.get(1).is_some_and(|word| word == "help") {
        argv.remove(1);
        argv.push("--help".into());
    }
    argv
}

fn start(cli: Cli) -> Exit {
    let json = cli.globals.json;
    let context = match (Context::new(&cli.globals), &cli.command) {
        (Ok(context), _) => context,
        // What is wrong with the settings can be asked about under them.
        (Err(_), Some(Command::Explain(args))) => {
            return args
                .tell(&Ui::plain(json))
                .unwrap_or_else(|error| tell(&error, &Ui::plain(json)));
        }
        (Err(error), _) => return tell(&error, &Ui::plain(json)),
    };
    logs::start(&context);
    let ended = match cli.command {
        Some(command) => run(command, &context),
        None => context.ui.text(&args::short_help()).map(|()| Exit::DONE),
    };
    match ended {
        Ok(exit) => exit,
        Err(error) => tell(&error, &context.ui),
    }
}

/// Carries a command out; answers go where the context says.
pub(crate) fn run(command: Command, context: &Context) -> Result {
    match command {
        Command::Run(args) => args.run(context),
        Command::Submit(args) => wait(args.run(context)),
        Command::Plan(args) => args.run(context),
        Command::Analyze(args) => args.run(context),
        Command::Explain(args) => args.run(context),
        Command::Config(args) => wait(args.run(context)),
        Command::Completions(args) => args.run(context),
        Command::Task(args) => wait(args.run(context)),
        Command::Runs(args) => wait(args.run(context)),
        Command::Queue(args) => wait(args.run(context)),
        Command::Events(args) => wait(args.run(context)),
        Command::Dlq(args) => wait(args.run(context)),
        Command::Agent(args) => wait(args.run(context)),
        Command::Team(args) => wait(args.run(context)),
        Command::Route(args) => wait(args.run(context)),
        Command::Worker(args) => args.run(context),
        Command::Pool(args) => wait(args.run(context)),
        Command::Schedule(args) => wait(args.run(context)),
        Command::Rule(args) => wait(args.run(context)),
        Command::Lock(args) => wait(args.run(context)),
        Command::Limit(args) => wait(args.run(context)),
        Command::Breaker(args) => wait(args.run(context)),
        Command::Budget(args) => wait(args.run(context)),
        Command::Breakpoint(args) => wait(args.run(context)),
        Command::Serve(args) => args.run(context),
        Command::Token(args) => wait(args.run(context)),
        Command::Mcp(args) => wait(args.run(context)),
        Command::Prime(args) => args.run(context),
        Command::Bench(args) => args.run(context),
        Command::Audit(args) => wait(args.run(context)),
        Command::Store(args) => wait(args.run(context)),
        Command::Doctor(args) => wait(args.run(context)),
    }
}

/// Runs a command that talks to a store, until it ends or the user interrupts it.
pub(crate) fn wait<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Refusal::new(Code::Internal, format!("no runtime: {e}")))?;
    let ended = runtime.block_on(async {
        tokio::select! {
            ended = work => ended,
            _ = tokio::signal::ctrl_c() => Err(Error::Interrupted),
        }
    });
    // A question that waits for an answer on stdin must not keep the process.
    runtime.shutdown_background();
    ended
}

fn tell(error: &Error, ui: &Ui) -> Exit {
    if let Error::Refused(refusal) = error {
        let told = if ui.json {
            ui.line(&error::for_programs(refusal))
        } else {
            ui.note(&error::for_people(refusal))
        };
        // Nobody is left to be told that telling failed.
        drop(told);
    }
    error.exit()
}

/// Help and versions are answers; everything else is an error on the command line.
fn usage(error: &clap::Error, json: bool) -> Exit {
    let is_answer = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    if json && !is_answer {
        return tell(&Error::Refused(args::refusal(error)), &Ui::plain(true));
    }
    // Nobody is left to be told that telling failed.
    drop(error.print());
    if is_answer { Exit::DONE } else { Exit::USAGE }
}

/// One clear line, and the end; a backtrace only for those who ask. What is caught is answered by whoever catches it.
fn tell_panic(info: &std::panic::PanicHookInfo<'_>) {
    match catcher() {
        Some(Catcher::Doubts) => return tracing::debug!(%info, "a panic was caught"),
        Some(Catcher::Answers) => {
            return tracing::error!(%info, "a defect in Bellwether; what was asked is refused, and all else goes on");
        }
        None => {}
    }
    let place = info
        .location()
        .map_or_else(String::new, |at| format!(" ({}:{})", at.file(), at.line()));
    let what = match info.payload().downcast_ref::<String>() {
        Some(text) => text.as_str(),
        None => info
            .payload()
            .downcast_ref::<&str>()
            .copied()
            .unwrap_or("unknown"),
    };
    eprintln!("error[{}]: a defect in Bellwether: {what}{place}", Code::Internal);
    eprintln!("help: {}", Code::Internal.cure());
    let backtrace = std::backtrace::Backtrace::capture();
    if backtrace.status() == std::backtrace::BacktraceStatus::Captured {
        eprintln!("{backtrace}");
    }
    std::process::exit(i32::from(Exit::NO.0));
}
