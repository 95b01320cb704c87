//! Several stores on one server.

crate::crowd::cases!();
