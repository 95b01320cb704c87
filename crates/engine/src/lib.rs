//! What happens when: submit, dispatch, execute, finish, recover.
//!
//! In reading order: the handle ([`engine`]) with its clock, ids and folder; how a plan becomes tasks ([`submit`]); how
//! tasks are leased and settled ([`worker`]) and attempts carried out ([`execute`], [`process`]); what is done about
//! the dead ([`recover`]) and from time to time ([`duties`], among them [`rules`], which call out by [`outside`]); a process that stays up ([`service`]); and a plan from beginning to end ([`runner`], watched by [`follow`], forecast by
//! [`simulate`] from what is [`expect`]ed).

pub mod agents;
pub mod clock;
pub mod duties;
pub mod engine;
pub mod execute;
pub mod expect;
pub mod follow;
pub mod health;
pub mod home;
pub mod ids;
pub mod mine;
pub mod order;
pub mod outside;
pub mod process;
pub mod recover;
pub mod replay;
pub mod retention;
pub mod rules;
pub mod runner;
pub mod service;
pub mod simulate;
pub mod submit;
pub mod trace;
pub mod worker;
