//! A network that can be broken: what devices say to a node, and a node to its database, goes
//! through here.

use std::{io, net::SocketAddr, rc::Rc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
    time::sleep,
};

/// How the network is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    /// As it should be.
    Clear,
    /// What is on its way waits; nothing is lost.
    Held,
    /// What is sent arrives nowhere, in both directions, and nobody is told: a half-open connection.
    /// One that was in it is closed when it is over, because a part of its stream is gone.
    Swallowed,
    /// Every other connection takes nothing from the server: readers who have stopped.
    Unread,
    /// So many bytes a second in each direction.
    Slow(u32),
}

#[derive(Debug, Clone, Copy)]
struct State {
    weather: Weather,
    /// How often connections were cut in the middle of what they carry, and how often reset.
    cuts: u32,
    resets: u32,
}

/// A door in front of a server. Ends when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    state: Rc<watch::Sender<State>>,
    accepting: JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Proxy {
    /// A door on a port of its own. Must be called within a `LocalSet`.
    ///
    /// # Errors
    /// There is no port.
    pub async fn open(server: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let state = State { weather: Weather::Clear, cuts: 0, resets: 0 };
        let state = Rc::new(watch::Sender::new(state));
        let watch = state.clone();
        let accepting = tokio::task::spawn_local(async move {
            let mut stops = false;
            loop {
                match listener.accept().await {
                    Ok((client, _)) => {
                        stops = !stops;
                        // Ends with the state's sender.
                        tokio::task::spawn_local(connection(
                            client,
                            server,
                            watch.subscribe(),
                            stops,
                        ));
                    }
                    Err(_) => sleep(Duration::from_millis(50)).await,
                }
            }
        });
        Ok(Self { address, state, accepting })
    }

    /// Where it stands.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes the weather.
    pub fn set(&self, weather: Weather) {
        self.state.send_modify(|state| state.weather = weather);
    }

    /// Cuts every connection in the middle of the next thing that the server says.
    pub fn cut(&self) {
        self.state.send_modify(|state| state.cuts += 1);
    }

    /// Resets every connection: both ends are told by RST.
    pub fn reset(&self) {
        self.state.send_modify(|state| state.resets += 1);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Up,
    Down,
}

/// How a connection ends.
enum End {
    Closed,
    Reset,
}

/// As much as is carried at once.
const CHUNK: usize = 16 * 1024;

/// What waits between the server and a reader who has stopped, in the kernel on our side.
const UNREAD_BYTES: u32 = 32 * 1024;

async fn connection(
    client: TcpStream,
    server: SocketAddr,
    state: watch::Receiver<State>,
    stops: bool,
) {
    let Ok(socket) = tokio::net::TcpSocket::new_v4() else { return };
    let _ = socket.set_recv_buffer_size(UNREAD_BYTES);
    let Ok(server) = socket.connect(server).await else {
        // A port where nobody listens answers with RST.
        let _ = client.set_zero_linger();
        return;
    };
    let _ = client.set_nodelay(true);
    let _ = server.set_nodelay(true);
    let (mut client_read, mut client_write) = tokio::io::split(client);
    let (mut server_read, mut server_write) = tokio::io::split(server);
    let end = tokio::select! {
        end = carry(&mut client_read, &mut server_write, state.clone(), Way::Up, stops) => end,
        end = carry(&mut server_read, &mut client_write, state, Way::Down, stops) => end,
    };
    if matches!(end, End::Reset) {
        let _ = client_read.unsplit(client_write).set_zero_linger();
        let _ = server_read.unsplit(server_write).set_zero_linger();
    }
}

async fn carry(
    from: &mut ReadHalf<TcpStream>,
    to: &mut WriteHalf<TcpStream>,
    mut state: watch::Receiver<State>,
    way: Way,
    stops: bool,
) -> End {
    let born = *state.borrow_and_update();
    let mut chunk = vec![0; CHUNK];
    let mut swallowed = false;
    loop {
        let now = *state.borrow_and_update();
        if now.resets > born.resets {
            return End::Reset;
        }
        if swallowed && now.weather != Weather::Swallowed {
            return End::Closed;
        }
        let waits = match now.weather {
            Weather::Held => true,
            Weather::Unread => stops && way == Way::Down,
            Weather::Clear | Weather::Swallowed | Weather::Slow(_) => false,
        };
        if waits {
            if state.changed().await.is_err() {
                return End::Closed;
            }
            continue;
        }
        let room = match now.weather {
            // A tenth of a second's worth at a time.
            Weather::Slow(bytes) => usize::try_from(bytes / 10).unwrap_or(CHUNK).clamp(1, CHUNK),
            Weather::Clear | Weather::Held | Weather::Swallowed | Weather::Unread => CHUNK,
        };
        let read = tokio::select! {
            biased;
            changed = state.changed() => match changed {
                Ok(()) => continue,
                Err(_) => return End::Closed,
            },
            read = from.read(&mut chunk[..room]) => read,
        };
        let length = match read {
            Ok(0) | Err(_) if swallowed => {
                // Who waits for an end that is swallowed too waits on.
                if state.changed().await.is_err() {
                    return End::Closed;
                }
                continue;
            }
            Ok(0) | Err(_) => return End::Closed,
            Ok(length) => length,
        };
        let now = *state.borrow();
        match now.weather {
            Weather::Swallowed => {
                swallowed = true;
                continue;
            }
            Weather::Slow(_) => sleep(Duration::from_millis(100)).await,
            Weather::Clear | Weather::Held | Weather::Unread => {}
        }
        if now.cuts > born.cuts {
            if way == Way::Down {
                let _ = to.write_all(&chunk[..length / 2]).await;
            }
            return End::Closed;
        }
        if to.write_all(&chunk[..length]).await.is_err() {
            return End::Closed;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::{task::LocalSet, time::timeout};

    /// A server that says everything back, and a client of it behind a proxy.
    async fn pair() -> (Proxy, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::task::spawn_local(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let (mut read, mut write) = tokio::io::split(stream);
            let _ = tokio::io::copy(&mut read, &mut write).await;
        });
        let proxy = Proxy::open(address).await.unwrap();
        let client = TcpStream::connect(proxy.address()).await.unwrap();
        (proxy, client)
    }

    async fn echo(client: &mut TcpStream, text: &str) -> io::Result<String> {
        client.write_all(text.as_bytes()).await?;
        let mut heard = vec![0; text.len()];
        let mut got = 0;
        while got < heard.len() {
            match client.read(&mut heard[got..]).await? {
                0 => break,
                more => got += more,
            }
        }
        Ok(String::from_utf8_lossy(&heard[..got]).into_owned())
    }

    const SHORT: Duration = Duration::from_millis(150);

    fn local(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        LocalSet::new().block_on(&runtime, test);
    }

    #[test]
    fn what_is_held_arrives_later() {
        local(async {
            let (proxy, mut client) = pair().await;
            assert_eq!(echo(&mut client, "one").await.unwrap(), "one");
            proxy.set(Weather::Held);
            assert!(timeout(SHORT, echo(&mut client, "two")).await.is_err());
            proxy.set(Weather::Clear);
            let mut heard = [0; 3];
            client.read_exact(&mut heard).await.unwrap();
            assert_eq!(&heard, b"two");
        });
    }

    #[test]
    fn what_is_swallowed_is_gone_and_so_is_the_connection_afterwards() {
        local(async {
            let (proxy, mut client) = pair().await;
            proxy.set(Weather::Swallowed);
            assert!(timeout(SHORT, echo(&mut client, "two")).await.is_err());
            proxy.set(Weather::Clear);
            assert_eq!(client.read(&mut [0; 3]).await.unwrap(), 0);
        });
    }

    #[test]
    fn a_cut_leaves_half_and_a_reset_says_so() {
        local(async {
            let (proxy, mut client) = pair().await;
            assert_eq!(echo(&mut client, "one").await.unwrap(), "one");
            proxy.cut();
            let heard = echo(&mut client, "abcdef").await;
            assert!(heard.is_ok_and(|heard| heard.len() < 6));
            let (proxy, mut client) = pair().await;
            assert_eq!(echo(&mut client, "one").await.unwrap(), "one");
            proxy.reset();
            let error = client.read(&mut [0; 3]).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        });
    }

    #[test]
    fn a_slow_network_takes_its_time() {
        local(async {
            let (proxy, mut client) = pair().await;
            proxy.set(Weather::Slow(100));
            assert!(timeout(SHORT, echo(&mut client, &"x".repeat(50))).await.is_err());
        });
    }
}
