//! What happens when: submit, dispatch, execute, finish, recover.

pub mod process;
