//! What happens when: submit, dispatch, execute, finish, recover.

pub mod clock;
pub mod home;
pub mod ids;
pub mod process;
