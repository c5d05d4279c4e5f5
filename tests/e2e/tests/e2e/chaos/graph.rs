//! The operation that is tormented: 40 steps, with fan-out and fan-in twice.

use tenantry_e2e::{Hook, Team};

/// How many steps it has.
pub const STEPS: usize = 40;
const LANES: usize = 8;
const MIDDLE: usize = 10;

/// One step: its name and whom it waits for.
#[derive(Clone, Debug)]
pub struct Node {
    pub name: String,
    pub after: Vec<String>,
}

/// All steps.
pub fn nodes() -> Vec<Node> {
    let mut nodes = Vec::new();
    let mut node = |name: String, after: Vec<String>| nodes.push(Node { name, after });
    node("root".to_owned(), vec![]);
    for lane in 0..LANES {
        node(format!("a{lane}"), vec!["root".to_owned()]);
        node(format!("b{lane}"), vec![format!("a{lane}")]);
        node(format!("c{lane}"), vec![format!("b{lane}")]);
    }
    node("left".to_owned(), (0..LANES / 2).map(|lane| format!("c{lane}")).collect());
    node("right".to_owned(), (LANES / 2..LANES).map(|lane| format!("c{lane}")).collect());
    for n in 0..MIDDLE {
        node(format!("d{n}"), vec![if n % 2 == 0 { "left" } else { "right" }.to_owned()]);
    }
    node("join".to_owned(), (0..MIDDLE).map(|n| format!("d{n}")).collect());
    node("report".to_owned(), vec!["join".to_owned(), "root".to_owned()]);
    node("last".to_owned(), vec!["report".to_owned(), "left".to_owned()]);
    nodes
}

/// Whether another attempt may overlap a lost one of this step.
pub fn may_overlap(name: &str) -> bool {
    name.starts_with('d') && name.ends_with(['3', '6'])
}

/// Its templates. Every hook is at work for half a second to three, says every 100 ms that it is, and is retried a few
/// times; then a person is asked, and says yes.
pub fn hooks(team: &Team) -> Vec<Hook> {
    let hook = |(work, node): (u32, Node)| {
        let mut hook = team.hook(&node.name).beating_witness(work).tenant("retries", "3");
        if !node.after.is_empty() {
            hook = hook.after(&node.after.join(","));
        }
        if may_overlap(&node.name) {
            hook = hook.tenant("on-lost", "retry");
        }
        hook
    };
    (500..).step_by(350).take(8).cycle().zip(nodes()).map(hook).collect()
}
