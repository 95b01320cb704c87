//! The words on the wire: JSON shapes shared by the command line and the server.
