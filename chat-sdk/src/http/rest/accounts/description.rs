use http::Method;
use serde_json::json;

use super::{LogIn, Register, SetUp, TokenShape};
use crate::{
    http::description::{Operation, Schemas, operation},
    protocol::Code,
};

pub(in crate::http) fn operations() -> Vec<Operation> {
    let password = "correct horse";
    let token = Schemas::of::<TokenShape>;
    vec![
        operation(Method::POST, "/user/login", "logIn", "Signs in")
            .of_anybody()
            .takes(Schemas::of::<LogIn>, vec![json!({"identifier": "bob", "password": password})])
            .answers(200, token, "Signed in.")
            .may(&[Code::WrongCredentials, Code::RateLimited, Code::Overloaded]),
        operation(Method::POST, "/user/register", "register", "Makes an account")
            .of_anybody()
            .takes(
                Schemas::of::<Register>,
                vec![json!({"name": "bob", "display_name": "Bob Smith", "password": password})],
            )
            .answers(201, token, "Made, and signed in.")
            .may(&[Code::Forbidden, Code::NameTaken, Code::RateLimited, Code::Overloaded]),
        operation(Method::POST, "/user/setup", "setUp", "Makes the first administrator, once")
            .of_anybody()
            .takes(
                Schemas::of::<SetUp>,
                vec![json!({"code": "k3f9-2mzx", "name": "root", "password": password})],
            )
            .answers(201, token, "Made, and signed in.")
            .may(&[
                Code::WrongCredentials,
                Code::Forbidden,
                Code::NameTaken,
                Code::RateLimited,
                Code::Overloaded,
            ]),
        operation(
            Method::POST,
            "/user/token",
            "renew",
            "A fresh token for the bearer of a valid one",
        )
        .answers(200, token, "The token; the one it was asked with goes on, too."),
        operation(Method::POST, "/user/logout", "logOut", "Ends this token everywhere")
            .answers_nothing(204, "It ended, and the live connections opened with it."),
    ]
}
