//! Loopback servers that answer as receivers' services do, well and badly.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// How an HTTP server answers.
#[derive(Debug, Clone, Copy)]
pub(super) enum Answer {
    /// A status, further header lines and a body.
    Status(u16, &'static str, &'static str),
    /// It reads and never answers.
    Silence,
    /// It reads the whole request and breaks the connection.
    Reset,
}

/// How a mail server answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mail {
    Takes,
    Busy,
    RefusesLogin,
    RefusesRecipient,
    /// It knows `ops@` no more, and breaks off a mail of which one address is refused.
    RefusesOne,
    DefersRecipient,
    RefusesContent,
    DropsAfterData,
    Silence,
    /// It offers STARTTLS, says yes to it and then speaks no TLS.
    BreaksTls,
}

/// What came in: heads and bodies, or mails.
pub(super) type Taken = Arc<Mutex<Vec<(String, String)>>>;

/// An HTTP server; its port and what it took.
pub(super) async fn http(answer: Answer) -> (u16, Taken) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let taken = Taken::default();
    let kept = taken.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let kept = kept.clone();
            tokio::spawn(async move {
                let _ = answer_http(stream, answer, &kept).await;
            });
        }
    });
    (port, taken)
}

async fn answer_http(stream: TcpStream, answer: Answer, taken: &Taken) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut head = String::new();
        loop {
            if stream.read_line(&mut head).await? == 0 {
                return Ok(());
            }
            if head.ends_with("\r\n\r\n") {
                break;
            }
        }
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().unwrap())
        });
        let mut body = vec![0; length.unwrap_or(0)];
        stream.read_exact(&mut body).await?;
        taken.lock().unwrap().push((head, String::from_utf8(body).unwrap()));
        match answer {
            Answer::Status(status, headers, body) => {
                let length = body.len();
                let answer = format!(
                    "HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
                );
                stream.write_all(answer.as_bytes()).await?;
            }
            Answer::Silence => std::future::pending().await,
            Answer::Reset => return Ok(()),
        }
    }
}

/// A mail server; its port and the mails that it took.
pub(super) async fn mail(mail: Mail) -> (u16, Taken) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let taken = Taken::default();
    let kept = taken.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let kept = kept.clone();
            tokio::spawn(async move {
                let _ = answer_mail(stream, mail, &kept).await;
            });
        }
    });
    (port, taken)
}

async fn answer_mail(stream: TcpStream, mail: Mail, taken: &Taken) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let greeting = match mail {
        Mail::Busy => "421 try again\r\n",
        Mail::Silence => return std::future::pending().await,
        _ => "220 here\r\n",
    };
    stream.write_all(greeting.as_bytes()).await?;
    let mut heard = String::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        heard.push_str(&line);
        let word = line.split([' ', ':', '\r']).next().unwrap_or_default().to_uppercase();
        let answer = match (word.as_str(), mail) {
            ("EHLO", Mail::BreaksTls) => "250-here\r\n250-STARTTLS\r\n250 AUTH PLAIN\r\n",
            ("EHLO", _) => "250-here\r\n250-8BITMIME\r\n250 AUTH PLAIN LOGIN\r\n",
            ("STARTTLS", _) => "220 go on\r\n",
            ("AUTH", Mail::RefusesLogin) => "535 no\r\n",
            ("AUTH", _) => "235 yes\r\n",
            ("RCPT", Mail::RefusesRecipient) => "550 nobody\r\n",
            ("RCPT", Mail::RefusesOne) if line.contains("ops@") => "550 nobody\r\n",
            ("RCPT", Mail::DefersRecipient) => "451 later\r\n",
            ("DATA", _) => "354 go on\r\n",
            ("QUIT", _) => "221 bye\r\n",
            ("MAIL" | "RCPT" | "RSET" | "NOOP", _) => "250 ok\r\n",
            _ => "500 what\r\n",
        };
        stream.write_all(answer.as_bytes()).await?;
        if word == "DATA" {
            let mut text = String::new();
            while !text.ends_with("\r\n.\r\n") {
                if stream.read_line(&mut text).await? == 0 {
                    return Ok(());
                }
            }
            taken.lock().unwrap().push((heard.clone(), text));
            match mail {
                Mail::DropsAfterData => return Ok(()),
                Mail::RefusesContent => stream.write_all(b"554 spam\r\n").await?,
                _ => stream.write_all(b"250 taken\r\n").await?,
            }
        }
    }
}
