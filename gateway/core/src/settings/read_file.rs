//! Reads files whole, but not endless ones.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// No file that a configuration names is larger: a list of a hundred thousand keys has a sixth of it.
const MOST: u64 = 64 << 20;

/// The bytes of a file.
///
/// # Errors
/// It cannot be read, or is larger than 64 MiB, as devices may be.
pub fn read_bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MOST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            "it is larger than 64 MiB",
        ));
    }
    Ok(bytes)
}

/// The text of a file.
///
/// # Errors
/// As [`read_bytes`]; or it is not UTF-8.
pub fn read_text(path: &Path) -> io::Result<String> {
    String::from_utf8(read_bytes(path)?).map_err(|_not_utf8| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            "stream did not contain valid UTF-8",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_end_is_refused() {
        let error = read_text(Path::new("/dev/zero")).unwrap_err();
        assert_eq!(error.to_string(), "it is larger than 64 MiB");
    }

    #[test]
    fn what_is_no_plain_file_is_read_all_the_same() {
        assert_eq!(read_text(Path::new("/dev/null")).unwrap(), "");
        let (reader, writer) = io::pipe().unwrap();
        io::Write::write_all(&mut &writer, b"a key").unwrap();
        drop(writer);
        let number = std::os::fd::AsRawFd::as_raw_fd(&reader);
        let text = read_text(Path::new(&format!("/dev/fd/{number}")));
        assert_eq!(text.unwrap(), "a key");
    }

    #[test]
    fn what_is_no_text_is_refused() {
        let folder = tempfile::TempDir::new().unwrap();
        let file = folder.path().join("a");
        std::fs::write(&file, [0xff]).unwrap();
        assert_eq!(read_bytes(&file).unwrap(), [0xff]);
        let error = read_text(&file).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
