//! The routes of drills: begun, looked at and ended by operators, answered by players.

use super::{Client, ClientError, MAX_ANSWER, is_time, segment};
use quorate_protocol::api::{Drill, DrillAnswer, NewDrill};
use reqwest::Method;

impl Client {
    /// `POST /drills`: asks the players of a group.
    pub fn begin_drill(&self, new: &NewDrill) -> Result<Drill, ClientError> {
        self.timed_drill(self.json(self.post("/drills", new)?, MAX_ANSWER)?)
    }

    /// `GET /drills`: the newest first, counts alone.
    pub fn drills(&self) -> Result<Vec<Drill>, ClientError> {
        let drills: Vec<Drill> = self.read("/drills", None, MAX_ANSWER)?;
        drills.into_iter().map(|drill| self.timed_drill(drill)).collect()
    }

    /// `GET /drills/{id}`; with names when `view` is the call's token, or for whom the ticket stands may see them.
    pub fn drill(&self, id: &str, view: Option<&str>) -> Result<Drill, ClientError> {
        self.timed_drill(self.read(&path(id)?, view, MAX_ANSWER)?)
    }

    /// `DELETE /drills/{id}`: ends it before its time.
    pub fn end_drill(&self, id: &str) -> Result<(), ClientError> {
        self.act(Method::DELETE, &path(id)?, None::<&()>).map(drop)
    }

    /// `POST /drills/{id}/answers`.
    pub fn answer_drill(&self, id: &str, answer: &DrillAnswer) -> Result<(), ClientError> {
        self.post(&format!("{}/answers", path(id)?), answer).map(drop)
    }

    fn timed_drill(&self, drill: Drill) -> Result<Drill, ClientError> {
        let times = [Some(&drill.created_at), Some(&drill.expires_at), drill.closed_at.as_ref()];
        if times.into_iter().flatten().all(|text| is_time(text)) {
            Ok(drill)
        } else {
            Err(self.strange("its times are unreadable"))
        }
    }
}

fn path(id: &str) -> Result<String, ClientError> {
    Ok(format!("/drills/{}", segment(id)?))
}
