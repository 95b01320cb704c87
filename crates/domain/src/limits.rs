//! Every bound of the system with its reason.

/// Names are typed and read by people.
pub const NAME_BYTES: usize = 64;
/// Keys are often paths of files.
pub const KEY_BYTES: usize = 512;
/// Callers' ids are often keys with a prefix.
pub const ID_BYTES: usize = 512;

/// A plan file larger than this is made by a program that should submit in parts.
pub const PLAN_BYTES: u64 = 64 * 1024 * 1024;
/// Prerequisites of one task in a plan: enough for a report over ten thousand shards.
pub const PLAN_PREREQUISITES: usize = 10_000;
/// Prerequisites of one task that an agent submits.
pub const AGENT_PREREQUISITES: usize = 50;
/// Subtasks of one parent that an agent submits.
pub const AGENT_SUBTASKS: u32 = 50;
/// How often a task may go on after its subtasks.
pub const ROUNDS: u32 = 1_000;
/// Items of one `for_each`: all its subtasks are admitted in one transaction.
pub const EACH_ITEMS: usize = 10_000;
/// Tasks of one submission.
pub const BATCH_TASKS: usize = 1_000_000;

/// A command line, prompt or input document larger than this belongs into a file.
pub const TEXT_BYTES: usize = 1024 * 1024;
/// Results up to this size travel inside the store; larger ones as files.
pub const RESULT_BYTES: usize = 32 * 1024;
/// Results as files, and progress or usage documents.
pub const RESULT_FILE_BYTES: u64 = 16 * 1024 * 1024;
/// The file in which an attempt leaves subtasks: they are read as a plan, and admitted in one transaction.
pub const SUBTASKS_FILE_BYTES: u64 = PLAN_BYTES;
/// An error message as stored; the whole text is in the attempt's output.
pub const ERROR_BYTES: usize = 8 * 1024;

/// Leases handed out by one claim.
pub const CLAIM_MAX: usize = 1_000;
/// Rows of one page of any list.
pub const PAGE_MAX: usize = 1_000;
/// Edges settled in one transaction; more are continued from a durable cursor, so that a fan-out of a
/// million does not hold everybody else up.
pub const SETTLE_EDGES: usize = 10_000;
/// Linux takes variables of up to 128 KiB.
pub const SECRET_BYTES: usize = 64 * 1024;
/// Names of locks on one task.
pub const LOCKS: usize = 64;
/// Tries of one task, all kinds of retry together.
pub const ATTEMPTS: u32 = 1_000;
/// Attempts lost to dead workers before a task is taken for the killer of its workers.
pub const LOST_MAX: u32 = 3;
/// Causes of dead letters that are counted apart, per project; the rest is counted together.
pub const SIGNATURES: usize = 500;
/// First and last bytes kept of an attempt's output.
pub const OUTPUT_HEAD: u64 = 256 * 1024;
pub const OUTPUT_TAIL: u64 = 768 * 1024;
/// An address on the web; longer ones are refused by many servers, too.
pub const URL_BYTES: usize = 2_048;
/// Agents of one project: routing keeps them all in memory.
pub const AGENTS: usize = 10_000;
/// Tasks that one agent may hold at once.
pub const AGENT_CAPACITY: u32 = 10_000;
/// Skills of one agent; more are a list that nobody reads.
pub const AGENT_SKILLS: usize = 512;
/// Teams of one project, those that were found by themselves included.
pub const TEAMS: usize = 1_000;
/// More are not a team but a project.
pub const TEAM_MEMBERS: usize = 256;
/// What an agent wants remembered about itself.
pub const AGENT_METADATA_BYTES: usize = 16 * 1024;
