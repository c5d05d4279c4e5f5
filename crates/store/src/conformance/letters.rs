//! Messages that were refused.

use super::samples::letter;
use crate::{LetterRow, Store};
use jiff::Timestamp;
use std::sync::Arc;
use tenantry_model::Page;

/// Inserted or replaced by id.
pub async fn refused_messages_come_by_id_in_pages_and_one_that_comes_twice_is_one<S: Store>(store: Arc<S>) {
    let mut write = store.write().await.unwrap();
    for n in [3, 1, 2] {
        write.put_letter(&letter(n)).await.unwrap();
    }
    let again = LetterRow { problem: "another".to_owned(), ..letter(2) };
    write.put_letter(&again).await.unwrap();
    write.commit().await.unwrap();
    let mut read = store.read().await.unwrap();
    assert_eq!(read.count_letters().await.unwrap(), 3);
    let mut page = Page { after: None, limit: 2 };
    let first = read.letters(&page).await.unwrap();
    assert_eq!(first.items, [letter(1), again.clone()]);
    page.after = first.next;
    let second = read.letters(&page).await.unwrap();
    assert_eq!((second.items, second.next), (vec![letter(3)], None));
    assert_eq!(read.letter(again.id).await.unwrap(), Some(again));
    assert_eq!(read.letter(letter(4).id).await.unwrap(), None);
}

/// The older go, by time and by number.
pub async fn of_refused_messages_the_newest_stay<S: Store>(store: Arc<S>) {
    let mut write = store.write().await.unwrap();
    for n in 1..=6 {
        write.put_letter(&letter(n)).await.unwrap();
    }
    assert!(write.delete_letter(letter(6).id).await.unwrap());
    assert!(!write.delete_letter(letter(6).id).await.unwrap());
    assert_eq!(write.trim_letters(Timestamp::MIN, 10).await.unwrap(), 0);
    assert_eq!(write.trim_letters(letter(2).at, 10).await.unwrap(), 1, "what is older than that");
    assert_eq!(write.trim_letters(Timestamp::MIN, 2).await.unwrap(), 2);
    let left = write.letters(&Page { after: None, limit: 10 }).await.unwrap();
    assert_eq!(left.items, [letter(4), letter(5)]);
    assert_eq!(write.count_letters().await.unwrap(), 2);
}
