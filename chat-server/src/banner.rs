//! What the server says on standard output when it is ready: where everything is. Facts only, as
//! they turned out, not as they were configured.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
};

/// Where everything is.
#[derive(Debug)]
pub(crate) struct Banner {
    /// Where people reach the server.
    pub(crate) url: String,
    /// What it listens on.
    pub(crate) listen: SocketAddr,
    pub(crate) store: String,
    /// To other servers, if there may be some.
    pub(crate) bus: Option<String>,
    /// If anything is kept on this machine.
    pub(crate) data_dir: Option<PathBuf>,
    pub(crate) metrics: MetricsAt,
    /// The one-time code for the first administrator, while there is none.
    pub(crate) setup_code: Option<String>,
    pub(crate) has_front_end: bool,
    pub(crate) dev_user_ids: bool,
    /// Of a demonstration: names and passwords.
    pub(crate) log_ins: Vec<LogIn>,
}

/// What became of the metrics.
#[derive(Debug)]
pub(crate) enum MetricsAt {
    Off,
    At(SocketAddr),
    /// Something else has the port, and nobody had asked for it.
    PortTaken(SocketAddr),
}

/// Somebody to log in as.
pub(crate) struct LogIn {
    pub(crate) name: String,
    pub(crate) password: String,
}

impl fmt::Debug for LogIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogIn({})", self.name)
    }
}

/// The address under which this machine reaches a listening socket.
pub(crate) fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

impl fmt::Display for Banner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "chat-server {}", env!("CARGO_PKG_VERSION"))?;
        writeln!(f, "  Open         {}", self.url)?;
        if self.listen.ip().is_unspecified() {
            writeln!(f, "  Listening    {} (all networks of this machine)", self.listen)?;
        } else {
            writeln!(f, "  Listening    {}", self.listen)?;
        }
        if let Some(data_dir) = &self.data_dir {
            writeln!(f, "  Data         {}", data_dir.display())?;
        }
        writeln!(f, "  Store        {}", self.store)?;
        if let Some(bus) = &self.bus {
            writeln!(f, "  Bus          {bus}")?;
        }
        let metrics = match self.metrics {
            MetricsAt::Off => "off".to_owned(),
            MetricsAt::At(address) => format!("http://{}/metrics", reachable(address)),
            MetricsAt::PortTaken(address) => {
                format!("off, because {address} is taken (--metrics-listen)")
            }
        };
        writeln!(f, "  Metrics      {metrics}")?;
        if let Some(code) = &self.setup_code {
            writeln!(f, "  First admin  {}/setup?code={code}", self.url)?;
            writeln!(f, "               works once; or: chat-server user create NAME --admin")?;
        }
        for LogIn { name, password } in &self.log_ins {
            writeln!(f, "  Log in       {name:<8} {password}")?;
        }
        if !self.has_front_end {
            writeln!(f, "  Front end    missing in this build; the page above says how to add it")?;
        }
        if self.dev_user_ids {
            writeln!(
                f,
                "  WARNING      auth.dev_user_ids is on: anybody who reaches this address can be anybody"
            )?;
        }
        writeln!(f, "  Settings     chat-server config print --sources")
    }
}
