//! The script of faults, once over each store that processes share; `cargo xtask soak faults` goes on for longer.

use rig::chaos::{self, Engine, Options};

fn survive(engine: Engine) {
    let options = Options {
        engine,
        bell: env!("CARGO_BIN_EXE_bell").into(),
        workers: 3,
        tasks: 40,
        rounds: 1,
        seed: 1,
    };
    let mut survived = 0;
    let played = chaos::run(&options, &mut |step| {
        println!("{} {step}", engine.name());
        survived += 1;
    });
    played.unwrap_or_else(|error| panic!("{error:#}"));
    assert_eq!(survived, if engine == Engine::Sqlite { 6 } else { 7 });
}

// proves: DESIGN 7, DESIGN 15
#[test]
fn sqlite_survives_every_fault() {
    survive(Engine::Sqlite);
}

// proves: DESIGN 7, DESIGN 15
#[test]
fn postgres_survives_every_fault() {
    survive(Engine::Postgres);
}

// proves: DESIGN 7, DESIGN 15
#[test]
fn redis_survives_every_fault() {
    survive(Engine::Redis);
}
