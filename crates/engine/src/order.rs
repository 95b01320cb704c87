//! How the project orders its line, for those who show it.

use domain::book::{Book, Entry};
use domain::store::Result;
use domain::task::order::{ORDER, Order};

use crate::engine::Engine;

pub async fn order(engine: &Engine) -> Result<Order> {
    let found = engine
        .store
        .entries_of(&engine.project, Book::Setting, &[ORDER.into()])
        .await?
        .pop();
    Ok(found.as_ref().map(Entry::read).transpose()?.unwrap_or_default())
}
