//! What every [`Store`](crate::Store) must do, as named checks that know only the trait.
//!
//! An implementation's tests call [`conformance_tests!`](crate::conformance_tests) with an async expression that makes
//! an empty store; each check becomes one test. It must never know which implementation it judges.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc)] // a check fails by panicking

pub mod rows;
pub mod samples;
pub mod transactions;

/// Makes one `#[tokio::test]` of every check. `$make` is called as `$make().await` and gives a store and something
/// that must live as long as it (a temporary folder), or `()`.
#[macro_export]
macro_rules! conformance_tests {
    ($make:path) => {
        $crate::conformance_tests! { @tests $make;
            transactions {
                what_is_not_committed_is_invisible_and_gone_after_a_drop
                a_read_transaction_sees_one_state_until_its_end
                a_cancelled_write_leaves_the_store_usable
                concurrent_writers_come_one_after_the_other
                a_commit_wakes_those_who_asked_before_it
                without_a_commit_a_sleeper_wakes_after_the_poll_interval
                the_store_answers_a_ping
            }
            rows {
                what_was_put_reads_back_equal
                a_second_put_replaces
                what_is_absent_reads_as_nothing
                deleting_removes_and_tells_whether_there_was_one
                a_row_of_five_megabytes_reads_back
            }
        }
    };
    (@tests $make:path; $($module:ident { $($check:ident)+ })+) => {$($(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $check() {
            let (store, _guard) = $make().await;
            $crate::conformance::$module::$check(std::sync::Arc::new(store)).await;
        }
    )+)+};
}
