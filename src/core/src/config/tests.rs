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

/// Without it, `LAIO_WINDOW=1M` would be reported, and the default used.
#[test]
fn sizes_and_times_may_have_units() {
    let (config, rejected) = read(&[
        ("LAIO_WINDOW", "1M"),
        ("LAIO_WARM_MS", "3s"),
        ("LAIO_ARMED_MS", "1500"),
        ("LAIO_BREAK_EVEN_US", "1ms"),
    ]);
    assert_eq!(rejected, []);
    assert_eq!((config.window, config.warm_ms), (1 << 20, 3000));
    assert_eq!((config.armed_ms, config.break_even_us), (1500, 1000));
    let default = Config::default();
    assert_eq!((default.window, default.armed_ms), (262_144, 60_000));
}

#[test]
fn every_setting_has_an_option_of_its_own() {
    let mut options: Vec<_> = SETTINGS.iter().map(Setting::option).collect();
    assert_eq!((&*options[0], &*options[8]), ("mode", "window"));
    options.sort_unstable();
    options.dedup();
    assert_eq!(options.len(), SETTINGS.len());
}

#[test]
fn a_bad_value_names_its_variable_and_range_and_leaves_the_default() {
    for (name, value) in [
        ("LAIO", "yes"),
        ("LAIO_THREADS", "0"),
        ("LAIO_WINDOW", "4095"),
        ("LAIO_WINDOW", "1MB"),
        ("LAIO_ARMED_MS", "25h"),
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

/// Without it, nginx' workers would write over each other's counters.
#[test]
fn each_process_has_a_file_of_its_own() {
    for (pattern, file) in [
        ("/run/laio/%p.json", "/run/laio/7.json"),
        ("%p-%p", "7-7"),
        ("/run/laio.d/stats.json", "/run/laio.d/stats-7.json"),
        ("/run/laio.d/stats", "/run/laio.d/stats-7"),
        ("stats.tar.gz", "stats.tar-7.gz"),
        (".stats", ".stats-7"),
        ("/run/laio/", "/run/laio/7.json"),
    ] {
        assert_eq!(file_of(pattern, 7), file);
    }
}
