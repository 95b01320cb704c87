//! Results remembered by content.

use domain::store::CacheEntry;
use domain::task::spec::Json;

use super::lab::{HOUR, Lab, SECOND};
use super::words::id;

async fn put(lab: &Lab, key: u8, bound: usize) -> CacheEntry {
    let entry = CacheEntry {
        key: [key; 32],
        result: Some(Json::of(&key)),
        stored_at: lab.now().wall,
        expires_at: Some(lab.now().wall.after(HOUR)),
        made_by: id("maker"),
    };
    let kept = entry.clone();
    lab.store.cache_put(&lab.project, kept, bound).await.unwrap();
    entry
}

async fn get(lab: &Lab, key: u8) -> Option<CacheEntry> {
    let now = lab.now().wall;
    lab.store.cache_get(&lab.project, &[key; 32], now).await.unwrap()
}

// proves: SPEC 5.8
pub async fn a_result_is_found_until_it_expires(lab: Lab) {
    assert_eq!(get(&lab, 1).await, None);
    let entry = put(&lab, 1, 10).await;
    lab.pass(HOUR - SECOND);
    assert_eq!(get(&lab, 1).await, Some(entry));
    lab.pass(SECOND);
    assert_eq!(get(&lab, 1).await, None);
    let for_ever = CacheEntry {
        expires_at: None,
        result: None,
        ..put(&lab, 2, 10).await
    };
    lab.store
        .cache_put(&lab.project, for_ever.clone(), 10)
        .await
        .unwrap();
    lab.pass(10_000 * HOUR);
    assert_eq!(get(&lab, 2).await, Some(for_ever));
    assert_eq!(get(&lab.beside("other"), 2).await, None);
}

// proves: SPEC 5.8
pub async fn the_least_recently_used_goes(lab: Lab) {
    for key in 1..=3 {
        put(&lab, key, 3).await;
        lab.pass(SECOND);
    }
    assert!(get(&lab, 1).await.is_some());
    lab.pass(SECOND);
    put(&lab, 4, 3).await;
    assert!(get(&lab, 2).await.is_none());
    for key in [1, 3, 4] {
        assert!(get(&lab, key).await.is_some(), "{key}");
    }
    lab.pass(SECOND);
    put(&lab, 5, 1).await;
    for key in 1..=4 {
        assert!(get(&lab, key).await.is_none(), "{key}");
    }
    assert!(get(&lab, 5).await.is_some());
}

// proves: SPEC 5.8
pub async fn a_new_result_replaces_the_old(lab: Lab) {
    put(&lab, 1, 2).await;
    put(&lab, 2, 2).await;
    lab.pass(SECOND);
    let newer = put(&lab, 1, 2).await;
    assert_eq!(get(&lab, 1).await, Some(newer));
    lab.pass(SECOND);
    put(&lab, 3, 2).await;
    assert!(get(&lab, 2).await.is_none());
}
