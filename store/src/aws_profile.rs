//! Credentials and region of an AWS profile, from the files that AWS's own tools write.
//!
//! `object_store` reads the environment and the roles of machines, not these files. What is read here goes into a request's
//! signature and nowhere else: the type has no `Debug`.

use std::path::PathBuf;

/// What a profile says.
#[derive(Default)]
pub(crate) struct AwsProfile {
    pub access_key_id: Option<String>,
    pub secret_access_key: Option<String>,
    pub session_token: Option<String>,
    pub region: Option<String>,
    pub endpoint_url: Option<String>,
}

impl AwsProfile {
    /// The profile that `AWS_PROFILE` names, else `default`; an empty one if there is none.
    pub(crate) fn read() -> Self {
        let variable = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
        let name = variable("AWS_PROFILE").unwrap_or_else(|| "default".to_owned());
        let home = variable("HOME").map(|home| PathBuf::from(home).join(".aws"));
        let file = |name: &str, default: &str| {
            variable(name).map(PathBuf::from).or_else(|| home.as_ref().map(|home| home.join(default)))
        };
        let text =
            |path: Option<PathBuf>| path.and_then(|p| std::fs::read_to_string(p).ok()).unwrap_or_default();
        let mut profile = Self::default();
        // In the file of the config all profiles but the default one have the word before their name.
        let sections = [name.clone(), format!("profile {name}")];
        profile.add(&text(file("AWS_CONFIG_FILE", "config")), &sections);
        profile.add(&text(file("AWS_SHARED_CREDENTIALS_FILE", "credentials")), &sections[..1]);
        profile
    }

    /// Takes over what the named sections of a file say.
    fn add(&mut self, text: &str, sections: &[String]) {
        let mut is_ours = false;
        for line in text.lines().map(str::trim) {
            if let Some(section) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                is_ours = sections.iter().any(|name| name == section.trim());
            } else if let (true, Some((key, value))) = (is_ours, line.split_once('=')) {
                let value = Some(value.trim().to_owned()).filter(|value| !value.is_empty());
                match key.trim() {
                    "aws_access_key_id" => self.access_key_id = value,
                    "aws_secret_access_key" => self.secret_access_key = value,
                    "aws_session_token" => self.session_token = value,
                    "region" => self.region = value,
                    "endpoint_url" => self.endpoint_url = value,
                    _ => {}
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_taken_from_its_sections_alone() {
        let mut profile = AwsProfile::default();
        let sections = ["lab".to_owned(), "profile lab".to_owned()];
        profile.add("[default]\nregion = a\n[profile lab]\nregion=eu-west-1\n# region = x\n", &sections);
        profile.add(
            "[lab]\naws_access_key_id = K\naws_secret_access_key= S=\n\n[other]\naws_access_key_id=N\n",
            &sections[..1],
        );
        assert_eq!(profile.region.as_deref(), Some("eu-west-1"));
        assert_eq!(profile.access_key_id.as_deref(), Some("K"));
        assert_eq!(profile.secret_access_key.as_deref(), Some("S="), "an equals sign may end a key");
        assert_eq!((profile.session_token, profile.endpoint_url), (None, None));
    }
}
