//! The audit log: every entry against its chain, every chain against the signed heads.

use super::{Checked, Checker};
use tenantry_audit::{PublicKey, Verifier};

const REMEDY: &str = "keep a copy of the data folder; compare with heads that were kept elsewhere: tenantry audit verify \
                      --heads PATH --public-key FILE; find out who could write to the database";

impl Checker<'_> {
    pub(super) async fn audit(&mut self) -> Checked {
        self.begin("audit");
        let keys = self.manager.known_audit_keys().await?;
        let without_heads = keys.is_empty();
        let mut verifier = Verifier::new(keys.into_iter().collect::<Vec<PublicKey>>());
        let mut export = self.manager.export_audit();
        loop {
            let lines = export.next().await?;
            if lines.is_empty() {
                break;
            }
            for line in lines {
                verifier.line(line);
                self.count().await?;
            }
        }
        let report = verifier.finish();
        for fault in report.faults {
            // Heads without a known key were signed before this installation kept its keys' public halves.
            if !(without_heads && fault.contains("no trusted key")) {
                self.error("audit-heads", "audit heads".to_owned(), fault, REMEDY).await?;
            }
        }
        for chain in report.bad {
            let name = chain.environment.map_or_else(|| "common".to_owned(), |id| id.to_string());
            let Some(bad) = chain.first_bad else { continue };
            let certain = chain.certain_until;
            let message = format!("{}; entries 1 to {certain} are certain", bad.detail);
            let row = format!("audit chain {name}, position {}", bad.position);
            self.error("audit-chain", row, message, REMEDY).await?;
        }
        Ok(())
    }
}
