//! HTTP/1.1 as far as it is needed here: one connection, one request after the other.

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::Result;

pub(crate) struct Http {
    stream: BufReader<TcpStream>,
    host: String,
}

impl Http {
    pub(crate) async fn connect(address: &str) -> Result<Http> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Http {
            stream: BufReader::new(stream),
            host: address.to_owned(),
        })
    }

    /// Status and body of an answer.
    pub(crate) async fn send(&mut self, method: &str, path: &str, body: &[u8]) -> Result<(u16, Vec<u8>)> {
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            self.host,
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(body);
        self.stream.get_mut().write_all(&request).await?;
        let (mut status, mut length) = (0, 0);
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line).await? == 0 {
                return Err("the server hung up".into());
            }
            if line == "\r\n" {
                break;
            }
            if status == 0 {
                status = line.split(' ').nth(1).ok_or("no status")?.parse()?;
            } else if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).await?;
        Ok((status, body))
    }

    /// The body of an answer that is no refusal.
    pub(crate) async fn ok(&mut self, method: &str, path: &str, body: &[u8]) -> Result<Vec<u8>> {
        let (status, told) = self.send(method, path, body).await?;
        match status {
            200..300 => Ok(told),
            _ => Err(format!("{method} {path}: {status} {}", String::from_utf8_lossy(&told)).into()),
        }
    }
}
