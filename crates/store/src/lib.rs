//! Where tasks are kept: memory and SQLite behind one kernel.
