//! The style, the script and the sign: parts of the program, served under names that change with
//! their content, so that a browser may keep them for ever.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

/// A file that pages load.
pub struct Asset {
    name: &'static str,
    ending: &'static str,
    media_type: &'static str,
    content: &'static str,
}

/// The style of every page.
pub static STYLE: LazyLock<Served> = LazyLock::new(|| {
    let content = include_str!("assets/page.css");
    Asset { name: "page", ending: "css", media_type: "text/css; charset=utf-8", content }.served()
});
/// What pages do where scripts run: they take the newest figures in by themselves.
pub static SCRIPT: LazyLock<Served> = LazyLock::new(|| {
    let content = include_str!("assets/page.js");
    let media_type = "text/javascript; charset=utf-8";
    Asset { name: "page", ending: "js", media_type, content }.served()
});
/// The sign in a browser's tab.
pub static ICON: LazyLock<Served> = LazyLock::new(|| {
    let content = include_str!("assets/icon.svg");
    Asset { name: "icon", ending: "svg", media_type: "image/svg+xml", content }.served()
});

/// An asset with its name.
pub struct Served {
    asset: Asset,
    file: String,
}

impl Asset {
    fn served(self) -> Served {
        let print = crc32fast::hash(self.content.as_bytes());
        Served { file: format!("{}-{print:08x}.{}", self.name, self.ending), asset: self }
    }
}

impl Served {
    /// Its path under the face's root.
    pub fn path(&self) -> String {
        format!("assets/{}", self.file)
    }
}

/// Answers with an asset.
pub(super) async fn serve(Path(file): Path<String>) -> Response {
    let all = [&*STYLE, &*SCRIPT, &*ICON];
    let Some(found) = all.into_iter().find(|served| served.file == file) else {
        return (StatusCode::NOT_FOUND, "not found; load the page anew\n").into_response();
    };
    let headers = [
        (header::CONTENT_TYPE, found.asset.media_type),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // A picture opened by itself is a document.
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'"),
    ];
    (headers, found.asset.content).into_response()
}
