//! How many live connections a server has, asked of the server itself.

use bytes::Bytes;
use http::Uri;
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};

use crate::{desired::pod, observe::ANSWER};

/// Bytes of a server's metrics; they are some 20 kB.
pub(crate) const METRICS_BYTES_MAX: usize = 1 << 20;

/// The metric.
const CONNECTIONS: &str = "chat_connections";

/// Asks servers.
#[derive(Debug, Clone)]
pub struct Scraper {
    http: Client<HttpConnector, Empty<Bytes>>,
}

impl Default for Scraper {
    fn default() -> Self {
        // Asked rarely: a connection that is kept would only have to be given up when the pod goes.
        let http = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build_http();
        Self { http }
    }
}

impl Scraper {
    /// The live connections of the server with this address; `None` if it does not say.
    pub async fn connections(&self, ip: &str) -> Option<u64> {
        let host = if ip.contains(':') { format!("[{ip}]") } else { ip.to_owned() };
        let uri: Uri = format!("http://{host}:{}/metrics", pod::METRICS).parse().ok()?;
        let asked = async {
            let answer = self.http.get(uri).await.ok()?;
            let body = Limited::new(answer.into_body(), METRICS_BYTES_MAX).collect().await.ok()?;
            connections_in(std::str::from_utf8(&body.to_bytes()).ok()?)
        };
        tokio::time::timeout(ANSWER, asked).await.ok().flatten()
    }
}

/// The connections that a server's metrics tell: the sum over all label sets of the gauge.
pub(crate) fn connections_in(text: &str) -> Option<u64> {
    let values = text.lines().filter_map(|line| {
        let rest = line.strip_prefix(CONNECTIONS)?;
        let rest = match rest.strip_prefix('{') {
            Some(labelled) => labelled.split_once('}')?.1,
            None => rest,
        };
        // Another metric's name begins the same.
        rest.starts_with(' ').then(|| rest.split_whitespace().next()?.parse::<f64>().ok())?
    });
    values.fold(None, |sum, value| Some(sum.unwrap_or(0) + value.max(0.0) as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_metric_is_found_among_those_that_begin_the_same() {
        let text = "# HELP chat_connections Live\n# TYPE chat_connections gauge\n\
                    chat_connections_total 7\nchat_connections 12\nchat_connectionsx 5\n";
        assert_eq!(connections_in(text), Some(12));
        assert_eq!(
            connections_in("chat_connections{a=\"}\"} 1\nchat_connections{b=\"c\"} 2\n"),
            Some(2)
        );
        assert_eq!(connections_in("chat_connections{node=\"a b\"} 7 1700000\n"), Some(7));
        assert_eq!(connections_in("chat_users_online 3\n"), None);
        assert_eq!(connections_in("chat_connections NaN\n"), Some(0));
        assert_eq!(connections_in(""), None);
    }
}
