//! Which operation of the server does what a command does, and why some commands have none.

use clap::Command;

use crate::args;

/// How a command is had over HTTP.
enum Face {
    /// By one of these operations.
    Op(&'static [&'static str]),
    /// Not at all, and why.
    None(&'static str),
}
use Face::{None, Op};

const TERMINAL: &str = "it is about the terminal";
const MACHINE: &str = "it works on the machine where it is called";
const FILES: &str = "it reads the files of whoever calls";

const FACES: &[(&str, Face)] = &[
    ("run", None(MACHINE)),
    ("submit", Op(&["submitPlan"])),
    ("runs list", Op(&["listRuns"])),
    ("runs show", Op(&["showRun", "drawRun"])),
    ("runs cancel", Op(&["cancelRun"])),
    ("runs mine", Op(&["minePlans"])),
    ("plan check", Op(&["checkPlan"])),
    ("plan graph", Op(&["drawPlan"])),
    ("plan schema", Op(&["showPlanSchema"])),
    ("plan simulate", Op(&["simulatePlan"])),
    ("plan verify", Op(&["verifyPlan"])),
    ("plan conflicts", None(FILES)),
    ("analyze", None(FILES)),
    ("task add", Op(&["addTasks"])),
    ("task list", Op(&["listTasks"])),
    ("task show", Op(&["showTask", "showResult"])),
    ("task why", Op(&["explainTask"])),
    ("task history", Op(&["showHistory"])),
    ("task logs", Op(&["showLogs", "sendOutput"])),
    ("task assign", Op(&["assignTask"])),
    ("task cancel", Op(&["cancelTask"])),
    ("task suspend", Op(&["suspendTask"])),
    ("task resume", Op(&["resumeTask"])),
    ("task retry", Op(&["retryTask"])),
    ("task signal", Op(&["sendSignal"])),
    ("task claim", Op(&["claim"])),
    ("task start", Op(&["startTask"])),
    (
        "task progress",
        Op(&["reportProgress", "heartbeat", "heartbeatAll"]),
    ),
    ("task complete", Op(&["completeTask", "settle"])),
    ("task fail", Op(&["failTask", "settle"])),
    ("task release", Op(&["releaseTask", "settle"])),
    ("queue status", Op(&["showQueue", "listProjects"])),
    ("queue plan", Op(&["orderTasks"])),
    ("queue stale", Op(&["listStale"])),
    ("queue stats", Op(&["showStats"])),
    ("queue problems", Op(&["listProblems"])),
    ("events", Op(&["listEvents"])),
    ("dlq list", Op(&["listLetters"])),
    ("dlq groups", Op(&["groupLetters"])),
    ("dlq show", Op(&["showTask"])),
    ("dlq requeue", Op(&["requeueLetters"])),
    ("dlq drop", Op(&["dropLetters"])),
    ("agent register", Op(&["registerAgent"])),
    ("agent list", Op(&["listAgents"])),
    ("agent show", Op(&["showAgent"])),
    ("agent health", Op(&["showAgentHealth", "showFlock"])),
    ("agent edit", Op(&["editAgent"])),
    ("agent learn", Op(&["learnSkill"])),
    ("agent report", Op(&["reportOutcome"])),
    ("agent heartbeat", Op(&["heartbeatAgent"])),
    ("agent export", Op(&["exportPerformance"])),
    ("agent advise", Op(&["adviseFlock"])),
    ("agent deregister", Op(&["deregisterAgent"])),
    ("team list", Op(&["listTeams"])),
    ("team show", Op(&["showTeam"])),
    ("team set", Op(&["setTeam"])),
    ("team remove", Op(&["removeTeam"])),
    ("route", Op(&["routeTask", "rebalance"])),
    ("worker list", Op(&["listWorkers"])),
    ("worker drain", Op(&["drainWorker"])),
    ("pool list", Op(&["listPools"])),
    ("pool set", Op(&["setPool"])),
    ("schedule add", Op(&["addSchedule"])),
    ("schedule list", Op(&["listSchedules", "showSchedule"])),
    ("schedule edit", Op(&["editSchedule"])),
    ("schedule remove", Op(&["removeSchedule"])),
    ("schedule next", Op(&["nextTimes"])),
    ("rule add", Op(&["addRules"])),
    ("rule list", Op(&["listRules"])),
    ("rule show", Op(&["showRule"])),
    ("rule remove", Op(&["removeRule"])),
    ("rule letters list", Op(&["listRuleLetters"])),
    ("rule letters retry", Op(&["retryRuleLetters"])),
    ("rule letters drop", Op(&["dropRuleLetters"])),
    ("lock list", Op(&["listLocks"])),
    ("lock break", Op(&["breakLock"])),
    ("limit list", Op(&["listLimits"])),
    ("limit set", Op(&["setLimit"])),
    ("limit remove", Op(&["removeLimit"])),
    ("breaker list", Op(&["listBreakers"])),
    ("breaker set", Op(&["setBreaker"])),
    ("breaker reset", Op(&["resetBreaker"])),
    ("breaker remove", Op(&["removeBreaker"])),
    ("budget list", Op(&["listBudgets"])),
    ("budget set", Op(&["setBudget"])),
    ("budget remove", Op(&["removeBudget"])),
    ("breakpoint list", Op(&["listBreakpoints"])),
    ("breakpoint show", Op(&["showTask"])),
    ("breakpoint resolve", Op(&["resolveBreakpoint"])),
    ("serve", None(MACHINE)),
    ("token create", Op(&["createToken"])),
    ("token list", Op(&["listTokens"])),
    ("token revoke", Op(&["revokeToken"])),
    ("mcp", None("the server has the tools at /mcp")),
    ("prime", None(TERMINAL)),
    ("bench", None(MACHINE)),
    ("audit verify", Op(&["verifyLog"])),
    ("audit anchor", Op(&["anchorLog"])),
    ("store check", Op(&["checkStore"])),
    ("store copy", None("a store is copied where it is")),
    (
        "store migrate",
        None("a server that opens a store has migrated it"),
    ),
    ("store prune", Op(&["prune"])),
    ("doctor", None(MACHINE)),
    ("explain", Op(&["explainError", "listErrors"])),
    ("config show", Op(&["listSettings"])),
    ("config set", Op(&["changeSettings"])),
    ("config defaults", None(MACHINE)),
    ("completions", None(TERMINAL)),
];

/// What only programs ask.
const PROGRAMS: &[&str] = &[
    "store",
    "scrape",
    "aggregateMetrics",
    "publishMetric",
    "giveTicket",
    "listConnections",
    "live",
    "ready",
    "describe",
    "home",
];

fn leaves(command: &Command, path: &str, found: &mut Vec<String>) {
    for sub in command.get_subcommands() {
        let path = format!("{path} {}", sub.get_name()).trim().to_owned();
        match sub.has_subcommands() {
            true => leaves(sub, &path, found),
            false => found.push(path),
        }
    }
}

// proves: DESIGN 13, DESIGN 6
#[test]
fn whatever_a_command_does_is_an_operation_or_has_a_reason() {
    let mut commands = Vec::new();
    leaves(&args::command(), "", &mut commands);
    let listed: Vec<&str> = FACES.iter().map(|(command, _)| *command).collect();
    for command in &commands {
        assert!(
            listed.contains(&command.as_str()),
            "`bell {command}` has no operation and no reason"
        );
    }
    for command in &listed {
        assert!(
            commands.iter().any(|known| known == command),
            "there is no `bell {command}`"
        );
    }
    let operations = server::operations();
    let mut known: Vec<&str> = PROGRAMS.to_vec();
    for (command, face) in FACES {
        match face {
            Op(names) => {
                for name in *names {
                    assert!(
                        operations.contains(name),
                        "`bell {command}`: there is no operation {name}"
                    );
                    known.push(name);
                }
            }
            None(why) => assert!(!why.is_empty()),
        }
    }
    for operation in operations {
        assert!(
            known.contains(&operation),
            "the operation {operation} has no command"
        );
    }
}
