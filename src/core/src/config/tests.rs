use super::*;

fn read(pairs: &[(&str, &str)]) -> (Config, Vec<Rejected>) {
    Config::read(|name| {
        pairs
            .iter()
            .find(|(other, _)| *other == name)
            .map(|(_, value)| (*value).to_owned())
    })
}

#[test]
fn every_default_is_acceptable_to_its_own_setting() {
    let mut config = Config::default();
    for setting in SETTINGS {
        assert!(
            (setting.apply)(&mut config, setting.default),
            "{}",
            setting.name
        );
    }
    assert_eq!(read(&[]), (Config::default(), vec![]));
}

/// Without it, a setting that is called otherwise now would be left out without a word.
#[test]
fn an_old_name_is_told_with_the_new_one() {
    let told: Vec<_> = Config::renamed(|name| name == "LAIO_QUIET_MS").collect();
    let expected = "liblaio: LAIO_QUIET_MS is no setting: it is called LAIO_ARMED_MS";
    assert_eq!(told, [expected]);
    assert_eq!(Config::renamed(|_| false).count(), 0);
    let is_setting = |name: &str| SETTINGS.iter().any(|setting| setting.name == name);
    assert!(RENAMED
        .iter()
        .all(|(old, new)| is_setting(new) && !is_setting(old)));
}

#[test]
fn good_values_are_taken() {
    let (config, rejected) = read(&[
        ("LAIO", "observe"),
        ("LAIO_ONLY", "nginx, lighttpd"),
        ("LAIO_MAP", "/=/srv/www,/img/=/data"),
        ("LAIO_THREADS", "8"),
    ]);
    assert_eq!(rejected, []);
    assert_eq!(config.mode, Mode::Observe);
    assert_eq!(config.only, ["nginx", "lighttpd"]);
    assert_eq!(config.map[1], ("/img/".to_owned(), "/data".to_owned()));
    assert_eq!(config.threads, 8);
}

#[test]
fn a_bad_value_names_its_variable_and_range_and_leaves_the_default() {
    for (name, value) in [
        ("LAIO", "yes"),
        ("LAIO_THREADS", "0"),
        ("LAIO_MAP", "img=/x"),
    ] {
        let (config, rejected) = read(&[(name, value)]);
        assert_eq!(config, Config::default());
        let said = rejected[0].to_string();
        assert!(said.contains(name) && said.contains(value), "{said}");
    }
}

#[test]
fn the_documentation_is_what_the_tables_say() {
    let page = include_str!("../../../../docs/configuration.md");
    assert!(page.contains(&markdown()), "run scripts/generate-docs");
    assert!(
        page.contains(&crate::symbols::markdown()),
        "run scripts/generate-docs"
    );
    assert!(SETTINGS
        .iter()
        .all(|setting| page.contains(&format!("`{}`", setting.name))));
}
