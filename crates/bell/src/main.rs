//! The command line of Bellwether.
//!
//! In reading order: what was typed ([`args`]), what it means together with environment and files ([`settings`],
//! [`discover`]), what commands work with ([`context`]), the [`commands`], how answers and errors reach people and
//! programs ([`output`], [`error`], [`exit`]), and the frame around it all ([`app`]).

mod app;
mod args;
mod commands;
mod context;
mod discover;
mod error;
mod exit;
#[cfg(test)]
mod faces;
mod logs;
mod output;
mod parse;
mod reload;
mod settings;
mod signals;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    app::main(std::env::args_os().collect())
}
