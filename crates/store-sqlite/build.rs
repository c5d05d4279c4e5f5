//! Makes a database from the migrations, so that sqlx's macros check every statement against the real schema when
//! the crate is compiled. No service and no file outside `OUT_DIR` is needed.

use sqlx::{ConnectOptions, Connection, migrate::Migrator, sqlite::SqliteConnectOptions};
use std::{env, error::Error, fs, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=migrations");
    let database = Path::new(&env::var("OUT_DIR")?).join("schema.db");
    if database.exists() {
        fs::remove_file(&database)?;
    }
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let mut connection =
            SqliteConnectOptions::new().filename(&database).create_if_missing(true).connect().await?;
        Migrator::new(Path::new("migrations")).await?.run(&mut connection).await?;
        connection.close().await?;
        Ok::<_, Box<dyn Error>>(())
    })?;
    // The macros read it as a URL.
    let path = database.to_str().ok_or("the build folder's path is not UTF-8")?;
    let encoded = path.replace('%', "%25").replace('?', "%3F").replace('#', "%23").replace(' ', "%20");
    println!("cargo:rustc-env=DATABASE_URL=sqlite://{encoded}");
    Ok(())
}
